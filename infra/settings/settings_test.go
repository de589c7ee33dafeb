package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrongSettingsAreRefusedWithASentence(t *testing.T) {
	cert := `"certificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/0-1"`
	for _, c := range []struct{ document, names string }{
		{`{"stack": "Main"}`, `stack is "Main"`},
		{`{"stack": ""}`, `stack is ""`},
		{`{"stack": "a23456789-123456789-x"}`, "stack is"},
		{`{"regions": ["europe"]}`, `regions is "europe"`},
		{`{"regions": ["eu-west-1", "eu-west-1"]}`, "eu-west-1 twice"},
		{`{"regions": ["us-west-1"]}`, "zones is 3, and us-west-1 has 2"},
		{`{"zones": 0}`, "zones is 0, expected 1 to 6"},
		{`{"zones": 7}`, "zones is 7"},
		{`{"instanceTypes": []}`, "instanceTypes has 0 entries"},
		{`{"instanceTypes": ["t2.nano"]}`, `instance type "t2.nano"`},
		{`{"instanceTypes": ["c7g.large", "c7g.large"]}`, "c7g.large twice"},
		{`{"maxNodes": 0}`, "maxNodes is 0"},
		{`{"nodesPerRoom": 0}`, "nodesPerRoom is 0"},
		{`{"maxNodes": 1001}`, "maxNodes is 1001"},
		{`{"maxNodes": "many"}`, `"maxNodes" is a string, expected a whole number`},
		{`{"budgetPerHour": -1}`, "budgetPerHour is -1"},
		{`{"idleMinutes": 0}`, "idleMinutes is 0"},
		{`{"idleMinutes": 1441}`, "idleMinutes is 1441"},
		{`{"replacePeoplePerMinute": -1}`, "replacePeoplePerMinute is -1"},
		{`{"drainMinutes": 0}`, "drainMinutes is 0"},
		{`{"drainMinutes": 1441}`, "drainMinutes is 1441"},
		{`{"spareSeats": -1}`, "spareSeats is -1"},
		{`{"consolidate": "yes"}`, `consolidate is "yes"`},
		{`{"spotPercent": 101}`, "spotPercent is 101"},
		{`{"mediaPort": 443}`, "mediaPort is 443"},
		{`{"domain": {"hostedZoneId": "Z0123456789"}}`, "need a domain.name"},
		{`{"domain": {"name": "Example"}}`, `domain.name is "Example"`},
		{`{"domain": {"name": "rtc.example.com", "certificateArn": "mine"}}`, `domain.certificateArn is "mine"`},
		{`{"domain": {"name": "rtc.example.com", ` + cert + `}, "regions": ["eu-west-2"]}`, `regions must be ["eu-west-1"]`},
		{`{"domain": {"name": "rtc.example.com", ` + cert + `, "hostedZoneId": "my zone"}}`, "domain.hostedZoneId is"},
		{`{"alarmEmail": "ops"}`, `alarmEmail is "ops"`},
		{`{"alarmEmail": "ops@example.com", "alarms": false}`, "alarms is false"},
		{`{"deletionPolicy": "retain"}`, `deletionPolicy is "retain", expected one of [delete keep]`},
		{`{"logDays": 2}`, "logDays is 2"},
		{`{"logLevel": "loud"}`, `logLevel is "loud"`},
		{`{"concurrency": 1}`, "concurrency is 1"},
		{`{"connectsPerSecond": 0}`, "connectsPerSecond is 0"},
		{`{"messagesPerSecond": 1}`, "messagesPerSecond is 1"},
		{`{"tags": {"aws:a": "b"}}`, "reserved"},
		{`{"tags": {"": "b"}}`, "tags"},
		{`{"tracing": 1}`, `"tracing" is a number, expected true or false`},
		{`{"maxNode": 5}`, `no setting "maxNode"; there are`},
		{"{\n\"maxNodes\": 5,\n}", "line 3 is not JSON"},
		{`{"maxNodes": 5`, "ends before"},
		{``, "ends before"},
		{`{} {}`, "follows"},
	} {
		_, err := Parse([]byte(c.document))
		if err == nil || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v does not say %q", c.document, err, c.names)
		} else if strings.ContainsAny(err.Error(), "\n\t") || len(err.Error()) > 500 {
			t.Errorf("%s: %q is no sentence", c.document, err)
		}
	}
	tags := make([]string, 31)
	for i := range tags {
		tags[i] = fmt.Sprintf(`"t%d": ""`, i)
	}
	if _, err := Parse([]byte(`{"tags": {` + strings.Join(tags, ",") + `}}`)); err == nil || !strings.Contains(err.Error(), "31 entries") {
		t.Errorf("31 tags: %v", err)
	}
}

func TestLimitsOfSettingsAreTaken(t *testing.T) {
	for _, document := range []string{
		`{}`,
		`{"stack": "a234567890123456789-"}`,
		`{"zones": 1, "maxNodes": 1, "budgetPerHour": 0, "idleMinutes": 1, "spotPercent": 0, "mediaPort": 1024, "concurrency": 10, "connectsPerSecond": 1, "messagesPerSecond": 10}`,
		`{"zones": 6, "maxNodes": 1000, "budgetPerHour": 100000, "idleMinutes": 1440, "spotPercent": 100, "mediaPort": 65535, "concurrency": 100000, "connectsPerSecond": 10000, "messagesPerSecond": 100000}`,
		`{"regions": ["us-gov-west-1", "ap-southeast-2"]}`,
		`{"domain": {"name": "rtc.example.com", "certificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/0a-1", "hostedZoneId": "Z0123456789"}, "regions": ["eu-west-1"]}`,
	} {
		if _, err := Parse([]byte(document)); err != nil {
			t.Errorf("%s: %v", document, err)
		}
	}
}

func TestOnlyTheUsualFileMayBeMissing(t *testing.T) {
	t.Chdir(t.TempDir())
	if s, err := Read(File); err != nil || s.Stack != Default().Stack {
		t.Errorf("without a file: %+v, %v", s, err)
	}
	if _, err := Read("other.json"); err == nil {
		t.Error("a file that was named and does not exist passes for the defaults")
	}
	if err := os.WriteFile(File, []byte(`{"maxNodes": 7}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Read(File); err != nil || s.MaxNodes != 7 || s.IdleMinutes != Default().IdleMinutes {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestEverySettingIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows() {
		if len(r.doc) < 20 {
			t.Errorf("%s has no documentation", r.name)
		}
	}
	if !strings.Contains(string(text), Table()) {
		t.Errorf("docs/operations.md does not have the settings as they are; they are\n%s", Table())
	}
}
