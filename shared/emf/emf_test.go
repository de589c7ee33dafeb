package emf

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

func message(t *testing.T) events.Metrics {
	t.Helper()
	raw, err := os.ReadFile("../../events/testdata/Metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := events.Decode(events.FromNode, raw)
	if err != nil {
		t.Fatal(err)
	}
	return m.(events.Metrics)
}

var units = regexp.MustCompile(`^(Seconds|Microseconds|Milliseconds|Bytes|Kilobytes|Megabytes|Gigabytes|Terabytes|Bits|Kilobits|Megabits|Gigabits|Terabits|Percent|Count|((Bytes|Kilobytes|Megabytes|Gigabytes|Terabytes|Bits|Kilobits|Megabits|Gigabits|Terabits|Count)/Second)|None)$`)

// problems lists what of the specification's rules a line breaks.
func problems(raw []byte, now time.Time) (broken []string) {
	bad := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	if len(raw) > 256<<10 {
		bad("%d bytes", len(raw))
	}
	var root map[string]any
	if err := json.Unmarshal(raw, &root); err != nil || strings.ContainsRune(string(raw), '\n') {
		return []string{"the line is no JSON object by itself"}
	}
	meta, _ := root["_aws"].(map[string]any)
	at, ok := meta["Timestamp"].(float64)
	if !ok || at != float64(int64(at)) {
		bad("the timestamp is %v", meta["Timestamp"])
	}
	if age := now.Sub(time.UnixMilli(int64(at))); age > 14*24*time.Hour || age < -2*time.Hour {
		bad("the timestamp is %v old", age)
	}
	directives, _ := meta["CloudWatchMetrics"].([]any)
	if len(directives) == 0 {
		bad("there are no metrics")
	}
	for _, d := range directives {
		broken = append(broken, directiveProblems(root, d.(map[string]any))...)
	}
	return broken
}

func directiveProblems(root, d map[string]any) (broken []string) {
	bad := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	for member := range d {
		if !slices.Contains([]string{"Namespace", "Dimensions", "Metrics"}, member) {
			bad("a directive has %s", member)
		}
	}
	if n, _ := d["Namespace"].(string); n == "" || len(n) > 255 {
		bad("the namespace is %q", n)
	}
	sets, _ := d["Dimensions"].([]any)
	if len(sets) == 0 {
		bad("there is no set of dimensions")
	}
	for _, set := range sets {
		keys, isArray := set.([]any)
		if !isArray || len(keys) > 9 {
			bad("the dimensions are %v", set)
		}
		for _, key := range keys {
			if value, ok := root[key.(string)].(string); !ok || value == "" || len(value) > 255 {
				bad("dimension %v has the value %v", key, root[key.(string)])
			}
		}
	}
	metrics, _ := d["Metrics"].([]any)
	if len(metrics) == 0 || len(metrics) > 100 {
		bad("%d metrics", len(metrics))
	}
	for _, m := range metrics {
		definition := m.(map[string]any)
		name, _ := definition["Name"].(string)
		if unit, _ := definition["Unit"].(string); !units.MatchString(unit) {
			bad("%s is in %q", name, unit)
		}
		switch v := root[name].(type) {
		case float64:
		case []any:
			if len(v) == 0 || len(v) > 100 {
				bad("%s has %d values", name, len(v))
			}
			for _, e := range v {
				if _, ok := e.(float64); !ok {
					bad("%s has the value %v", name, e)
				}
			}
		default:
			bad("%s is %v", name, v)
		}
	}
	return broken
}

func TestLinesFollowTheFormat(t *testing.T) {
	m := message(t)
	now := time.UnixMilli(m.TakenMs).Add(time.Second)
	hundred := make(events.List[int64], events.MaxMetricsValues)
	m.Rooms = append(m.Rooms,
		events.RoomFigures{Room: "nobody has told yet", People: 1},
		events.RoomFigures{Room: "crowd \"at\" \n night", People: 900, RTTMs: hundred, JitterMs: hundred, SendLossPermille: hundred, ReceiveLossPermille: hundred,
			ClientSendKbps: hundred, ClientReceiveKbps: hundred})
	lines := Lines(Namespace("prod"), m, now)
	if len(lines) != 1+len(m.Rooms) {
		t.Fatalf("%d lines", len(lines))
	}
	for _, l := range lines {
		for _, p := range problems(l, now) {
			t.Errorf("%s: %s", p, l)
		}
	}
	m.Figures = nil
	if lines := Lines("n", m, now); len(lines) != len(m.Rooms) {
		t.Errorf("a further part has %d lines", len(lines))
	}
}

// The rules do find what breaks them.
func TestTheRulesAreRules(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	good := `{"_aws":{"Timestamp":1790000000000,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[[],["D"]],"Metrics":[{"Name":"M","Unit":"Count"}]}]},"D":"d","M":1}`
	if p := problems([]byte(good), now); len(p) > 0 {
		t.Fatalf("a good line: %v", p)
	}
	for _, change := range [][2]string{
		{`"M":1`, `"M":"1"`}, {`"M":1`, `"M":[]`}, {`"M":1`, `"M":{"a":1}`}, {`,"M":1`, ``}, {`"D":"d"`, `"D":7`}, {`,"D":"d"`, ``},
		{`"Count"`, `"Counts"`}, {`[[],["D"]]`, `[]`}, {`[[],["D"]]`, `["D"]`}, {`1790000000000`, `1790000000000.5`}, {`1790000000000`, `1690000000000`}, {`"N"`, `""`},
		{`{"_aws"`, "{\n" + `"_aws"`}, {`"Namespace"`, `"Stray":1,"Namespace"`},
	} {
		if p := problems([]byte(strings.Replace(good, change[0], change[1], 1)), now); len(p) == 0 {
			t.Errorf("%s in place of %s is not noticed", change[1], change[0])
		}
	}
}

// A room's name is a property, never a dimension; the node is a dimension of few.
func TestRoomsAreNoDimension(t *testing.T) {
	m := message(t)
	byNode := map[string]bool{}
	for i, raw := range Lines("n", m, time.UnixMilli(m.TakenMs)) {
		var l struct {
			Room string
			Meta struct{ CloudWatchMetrics []directive } `json:"_aws"`
		}
		if err := json.Unmarshal(raw, &l); err != nil {
			t.Fatal(err)
		}
		if i > 0 && l.Room != m.Rooms[i-1].Room {
			t.Errorf("line %d is of room %q", i, l.Room)
		}
		for _, d := range l.Meta.CloudWatchMetrics {
			for _, set := range d.Dimensions {
				if len(set) > 0 && !slices.Equal(set, []string{NodeDimension}) {
					t.Errorf("dimensions %v", set)
				}
				for _, metric := range d.Metrics {
					byNode[metric.Name] = byNode[metric.Name] || len(set) > 0
				}
			}
		}
	}
	seen, each := 0, 0
	for _, metric := range Metrics() {
		is, ok := byNode[metric.Name]
		if !ok || is != metric.ByNode {
			t.Errorf("%s is told of: %v, of each node: %v", metric.Name, ok, is)
		}
		if seen++; is {
			each++
		}
	}
	if seen != len(byNode) || each > 4 {
		t.Errorf("%d metrics are listed and %d told of, %d of each node", seen, len(byNode), each)
	}
}

func TestValuesAreThose(t *testing.T) {
	m := message(t)
	lines := Lines("n", m, time.UnixMilli(m.TakenMs))
	for i, want := range map[int][]string{
		0: {`"NodePeople":7`, `"NodePeopleOverTcp":1`, `"NodeLossPercent":0.3`, `"NodeCpuPercent":12`, `"Node":"n-5kq3vd2m"`, `"RoomsUntold":1`},
		1: {`"RoomPeople":4`, `"ClientRttMs":[18,31,240]`, `"ClientReceiveLossPercent":[0,0.3,2.1]`, `"ClientsLimitedByCpu":1`, `"Room":"stand-up"`},
	} {
		for _, w := range want {
			if !strings.Contains(string(lines[i]), w) {
				t.Errorf("line %d has no %s: %s", i, w, lines[i])
			}
		}
	}
}

// A node whose clock is wrong is told of at the time of its message.
func TestAClockThatIsOffIsNotBelieved(t *testing.T) {
	m := message(t)
	for _, off := range []time.Duration{3 * time.Hour, -3 * time.Hour, time.Minute} {
		now := time.UnixMilli(m.TakenMs).Add(off)
		want := now.UnixMilli()
		if off == time.Minute {
			want = m.TakenMs
		}
		if l := string(Lines("n", m, now)[0]); !strings.Contains(l, fmt.Sprintf(`"Timestamp":%d`, want)) {
			t.Errorf("off by %v: %s", off, l)
		}
	}
}
