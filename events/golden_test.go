package events_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/events/goldentest"
)

var allBorders = []events.Border{
	events.FromClient, events.ToClient, events.FromNode, events.ToNode, events.FromSDK, events.ToSDK, events.FromBus,
}

// golden is the text of testdata/NAME.json, where NAME is a message's Go type.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// borderOf is a border that the message of this Go type may cross.
func borderOf(t testing.TB, name string) events.Border {
	t.Helper()
	for _, b := range allBorders {
		for _, m := range events.Messages(b) {
			if reflect.TypeOf(m).Name() == name {
				return b
			}
		}
	}
	t.Fatalf("no border takes %s", name)
	return ""
}

func TestEveryMessageHasAGoldenThatComesBackTheSame(t *testing.T) {
	for _, b := range allBorders {
		messages := events.Messages(b)
		if len(messages) == 0 {
			t.Errorf("nothing may cross %s", b)
		}
		for action, m := range messages {
			name := reflect.TypeOf(m).Name()
			t.Run(string(b)+"/"+name, func(t *testing.T) {
				raw := golden(t, name)
				decoded, err := events.Decode(b, raw)
				if err != nil {
					t.Fatal(err)
				}
				if got := reflect.TypeOf(decoded); got != reflect.TypeOf(m) {
					t.Fatalf("decoded as %s", got)
				}
				goldentest.Same(t, raw, decoded)
				var head events.Header
				if err := json.Unmarshal(raw, &head); err != nil || head.Action != action {
					t.Errorf("golden's action is %q, %v", head.Action, err)
				}
			})
		}
	}
}

func TestEveryGoldenIsAMessage(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		borderOf(t, strings.TrimSuffix(filepath.Base(path), ".json"))
	}
}

// A golden shows every field, so that a field that is added without thinking of
// its golden is noticed, here and by the tests of the other languages.
func TestGoldensShowEveryField(t *testing.T) {
	never := map[string]bool{
		"Answered.fault":    true,                               // excludes answer
		"Moderate.metadata": true, "ModerateFor.metadata": true, // exclude sources
	}
	for _, b := range allBorders {
		for _, m := range events.Messages(b) {
			typ := reflect.TypeOf(m)
			for _, missing := range goldentest.Unshown(t, golden(t, typ.Name()), typ) {
				if !never[missing] {
					t.Errorf("testdata/%s.json does not show %s", typ.Name(), missing)
				}
			}
		}
	}
}

func TestGoldenOffersUnpackToTheSDPBesideThem(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	field := func(name, key string) string {
		var m map[string]any
		if err := json.Unmarshal(golden(t, name), &m); err != nil {
			t.Fatal(err)
		}
		packed, _ := m[key].(string)
		sdp, err := events.Unpack(packed)
		if err != nil {
			t.Fatalf("%s.%s: %v", name, key, err)
		}
		return sdp
	}
	offer, answer := read("testdata/offer.sdp"), read("testdata/answer.sdp")
	for _, pair := range []struct{ got, want string }{
		{field("Join", "offer"), offer}, {field("Offer", "offer"), offer},
		{field("Answer", "answer"), answer}, {field("Answered", "answer"), answer},
	} {
		if pair.got != pair.want {
			t.Errorf("unpacked %.80q…, want %.80q…", pair.got, pair.want)
		}
	}
}
