package spillway_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events"
)

// protocolSections divides docs/protocol.md at its headings: heading → text.
func protocolSections(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	heading := ""
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		} else {
			sections[heading] += line
		}
	}
	return sections
}

// section is the text below the heading that names a Go type: as `Track`, or in
// parentheses behind the action of a message.
func section(sections map[string]string, typ string) (heading, text string) {
	named := regexp.MustCompile("^`" + typ + "`|\\(" + typ + "\\)")
	for heading, text := range sections {
		if named.MatchString(heading) {
			return heading, text
		}
	}
	return "", ""
}

func TestTheProtocolIsDocumented(t *testing.T) {
	sections := protocolSections(t)
	seen := map[reflect.Type]bool{}
	for _, b := range []events.Border{
		events.FromClient, events.ToClient, events.FromNode, events.ToNode, events.FromSDK, events.ToSDK, events.FromBus,
	} {
		if !strings.Contains(sections["How a message looks"], "| "+string(b)+" |") {
			t.Errorf("border %s is not in the table of borders", b)
		}
		for action, m := range events.Messages(b) {
			typ := reflect.TypeOf(m)
			heading, _ := section(sections, typ.Name())
			switch {
			case heading == "":
				t.Errorf("no section for %s, which crosses %s", typ.Name(), b)
			case !strings.Contains(heading, "`"+string(action)+"`"):
				t.Errorf("section %q does not name the action %s", heading, action)
			case typ.Name() != "Error" && !strings.Contains(heading, string(b)):
				t.Errorf("section %q does not say that it crosses %s", heading, b)
			}
			documented(t, sections, typ, seen)
		}
	}
}

// documented checks that the section of a type has each of its fields, and the
// same of the types of its fields.
func documented(t *testing.T, sections map[string]string, typ reflect.Type, seen map[reflect.Type]bool) {
	t.Helper()
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || seen[typ] {
		return
	}
	seen[typ] = true
	heading, text := section(sections, typ.Name())
	if heading == "" {
		t.Errorf("no section for %s", typ.Name())
		return
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("section %q does not name the field %s", heading, name)
		}
		documented(t, sections, f.Type, seen)
	}
}

func TestEveryCodeIsDocumented(t *testing.T) {
	source, err := os.ReadFile("events/errors.go")
	if err != nil {
		t.Fatal(err)
	}
	table := protocolSections(t)["Errors"]
	codes := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\tCode\w+ +Code = "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		codes[m[1]] = true
		if !strings.Contains(table, "| `"+m[1]+"` |") {
			t.Errorf("code %s is not in the table of errors", m[1])
		}
		retry := regexp.MustCompile("\\| `" + m[1] + "` \\|.*\\|.*(retry|join again).*\\|").MatchString(table)
		if retry != events.Code(m[1]).Retryable() {
			t.Errorf("code %s: the table and Retryable do not agree", m[1])
		}
	}
	if len(codes) < 30 {
		t.Errorf("found only %d codes in events/errors.go", len(codes))
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(table, -1) {
		if !codes[m[1]] {
			t.Errorf("the table has the code %s, which does not exist", m[1])
		}
	}
}
