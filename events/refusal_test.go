package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events"
)

// absent takes a field away.
var absent = new(struct{})

// with returns the golden of a message with one value in it changed: path names
// it by keys and indexes with dots between.
func with(t testing.TB, name, path string, value any) []byte {
	t.Helper()
	var m any
	if err := json.Unmarshal(golden(t, name), &m); err != nil {
		t.Fatal(err)
	}
	keys := strings.Split(path, ".")
	at := m
	for _, key := range keys[:len(keys)-1] {
		switch v := at.(type) {
		case map[string]any:
			at = v[key]
		case []any:
			at = v[index(t, key)]
		}
	}
	last := keys[len(keys)-1]
	switch v := at.(type) {
	case map[string]any:
		v[last] = value
		if value == absent {
			delete(v, last)
		}
	case []any:
		v[index(t, last)] = value
	default:
		t.Fatalf("%s has no %s", name, path)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func index(t testing.TB, s string) int {
	t.Helper()
	i, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// refused checks that raw is refused with this code and a text that has these
// words, and that the error could itself be sent.
func refused(t *testing.T, b events.Border, raw []byte, code events.Code, words string) {
	t.Helper()
	m, err := events.Decode(b, raw)
	if err == nil {
		t.Errorf("%s took %.200s as %+v", b, raw, m)
		return
	}
	var e *events.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: an error without a code: %v", b, err)
		return
	}
	if e.Code != code || !strings.Contains(e.Text, words) {
		t.Errorf("%s, %.200s: got %v, want %s with %q", b, raw, e, code, words)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := events.Decode(events.ToClient, text); err != nil {
		t.Errorf("the error %s cannot be sent: %v", text, err)
	}
}

func TestWhatIsNoMessage(t *testing.T) {
	for _, test := range []struct {
		raw   string
		code  events.Code
		words string
	}{
		{``, events.CodeBadJSON, ""},
		{`{`, events.CodeBadJSON, "byte"},
		{`hello`, events.CodeBadJSON, "byte 1"},
		{`{"action":"leave","v":1} {}`, events.CodeBadJSON, ""},
		{"{\"action\":\"leave\x00\"}", events.CodeBadJSON, ""},
		{`[]`, events.CodeBadJSON, "array"},
		{`"join"`, events.CodeBadJSON, "string"},
		{`7`, events.CodeBadJSON, "number"},
		{`true`, events.CodeBadJSON, "bool"},
		{strings.Repeat(`[`, 20_000), events.CodeBadJSON, ""},
		{strings.Repeat(`{"a":`, 5_000), events.CodeBadJSON, ""},
		{`null`, events.CodeBadField, "action is missing"},
		{`{}`, events.CodeBadField, "action is missing"},
		{`{"v":1}`, events.CodeBadField, "action is missing"},
		{`{"action":5,"v":1}`, events.CodeBadField, "action is number"},
		{`{"action":"leave","v":"1"}`, events.CodeBadField, "v is string"},
		{`{"action":"leave","v":` + strings.Repeat("1", 30_000) + `}`, events.CodeBadField, "v is number 111"},
		{`{"action":"leave","v":1.5}`, events.CodeBadField, "v is number 1.5"},
		{`{"action":"leave"}`, events.CodeBadVersion, "v is 0"},
		{`{"action":"leave","v":2}`, events.CodeBadVersion, "speaks 1"},
		{`{"action":"of the future","v":2}`, events.CodeBadVersion, "speaks 1"},
		{`{"action":"dance","v":1}`, events.CodeUnknownAction, "dance"},
		{`{"action":"hello","v":1}`, events.CodeUnknownAction, "hello"}, // a node's
		{`{"action":"` + strings.Repeat("\U0010ffff", 5000) + `","v":1}`, events.CodeUnknownAction, "action"},
		{`{"action":"leave","v":1,"x":"` + strings.Repeat("x", events.MaxFrame) + `"}`, events.CodeTooLarge, "at most 32768"},
	} {
		refused(t, events.FromClient, []byte(test.raw), test.code, test.words)
	}
	refused(t, "no border", []byte(`{}`), events.CodeInternal, "")
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	if _, err := events.Decode(events.FromClient, with(t, "Leave", "later", map[string]any{"x": []int{1}})); err != nil {
		t.Error(err)
	}
}

// What cannot be guessed from the fields' types.
func TestRulesOfSingleFields(t *testing.T) {
	var many []any
	for i := range 100 {
		many = append(many, fmt.Sprintf("m%d", i))
	}
	entry := func(name, list string) any {
		var m map[string]any
		if err := json.Unmarshal(golden(t, name), &m); err != nil {
			t.Fatal(err)
		}
		return m[list].([]any)[0]
	}
	repeat := func(v any, n int) []any {
		var l []any
		for range n {
			l = append(l, v)
		}
		return l
	}
	for _, test := range []struct {
		name, path string
		value      any
		code       events.Code
		words      string
	}{
		{"Join", "id", absent, events.CodeBadField, "id is missing"},
		{"Join", "session", "short", events.CodeBadField, "session has 5 bytes, at least 8"},
		{"Join", "role", "singer", events.CodeBadField, "role"},
		{"Join", "avoid", many, events.CodeBadField, "avoid has 100 nodes"},
		{"Join", "avoid.0", "", events.CodeBadField, "avoid is missing"},
		{"Join", "media.audio", many, events.CodeBadField, "media.audio has 100 streams"},
		{"Join", "media.video", many, events.CodeBadField, "media.video has 100 streams"},
		{"Join", "media.video.0", "0", events.CodeBadField, `names the section "0" twice`},
		{"Join", "media.video.0", "", events.CodeBadField, "media is missing"},
		{"Join", "media.camera", "0", events.CodeBadField, "twice"},
		{"Join", "media.camera", "3", events.CodeBadField, "twice"},
		{"Join", "media.camera", "99", events.CodeBadOffer, `section "1", which media does not name`},
		{"Join", "media.audio", []any{"4", "7"}, events.CodeBadOffer, `section "7"`},
		{"Join", "offer", absent, events.CodeBadField, "offer is missing"},
		{"Answer", "role", "", events.CodeBadField, "role"},
		{"Answer", "iceServers", repeat(entry("Answer", "iceServers"), 9), events.CodeBadField, "iceServers has 9"},
		{"Answer", "iceServers.0.urls", []any{}, events.CodeBadField, "iceServers.urls has 0"},
		{"Waiting", "stage", "dreaming", events.CodeBadField, "stage"},
		{"Hello", "addresses", []any{}, events.CodeBadField, "addresses has 0"},
		{"Hello", "addresses", repeat(entry("Hello", "addresses"), 9), events.CodeBadField, "addresses has 9"},
		{"Hello", "addresses.0.ip", "example.com", events.CodeBadField, "addresses.ip"},
		{"Hello", "addresses.0.ip", "0.0.0.0", events.CodeBadField, "addresses.ip"},
		{"Hello", "addresses.0.ip", "fe80::1%eth0", events.CodeBadField, "addresses.ip"},
		{"Hello", "addresses.0.port", 0, events.CodeBadField, "addresses.port"},
		{"Hello", "addresses.0.port", 65536, events.CodeBadField, "addresses.port"},
		{"Hello", "addresses.0.scope", "secret", events.CodeBadField, "addresses.scope"},
		{"Hello", "slot", 4, events.CodeBadField, "slot is 4, expected 0 to 3"},
		{"Hello", "fingerprint", strings.Repeat("AB:", 31) + "A", events.CodeBadField, "fingerprint"},
		{"Hello", "fingerprint", strings.Repeat("AB:", 31) + "XY", events.CodeBadField, "fingerprint"},
		{"Hello", "fingerprint", strings.Repeat("A:B", 31) + "AB", events.CodeBadField, "fingerprint"},
		{"Hello", "pipePort", 65536, events.CodeBadField, "pipePort is 65536"},
		{"Assignment", "node", "", events.CodeBadField, "node is missing"},
		{"Assignment", "generation", 0, events.CodeBadField, "generation"},
		{"Assignment", "room", "", events.CodeBadField, "room is missing"},
		{"Assignment", "epoch", -1, events.CodeBadField, "epoch is -1"},
		{"Assignment", "peers", repeat(entry("Assignment", "peers"), 2), events.CodeBadField, "twice"},
		{"Assignment", "peers", repeat(entry("Assignment", "peers"), 65), events.CodeBadField, "peers has 65"},
		{"Assignment", "peers.0.node", "n-5kq3vd2m", events.CodeBadField, "the receiver itself"},
		{"Assignment", "peers.0.generation", 0, events.CodeBadField, "peers.generation"},
		{"Assignment", "peers.0.addresses", []any{}, events.CodeBadField, "peers.addresses has 0"},
		{"Assignment", "peers.0.addresses.0.ip", "0.0.0.0", events.CodeBadField, "addresses.ip"},
		{"Assignment", "peers.0.pipePort", 0, events.CodeBadField, "peers.pipePort is 0"},
		{"Assignment", "peers.0.fingerprint", "AB", events.CodeBadField, "peers.fingerprint"},
		{"Welcome", "leaseMs", 2999, events.CodeBadField, "leaseMs is 2999, expected 3000"},
		{"Heartbeat", "cpuPercent", 101, events.CodeBadField, "cpuPercent"},
		{"Heartbeat", "lossPermille", 1001, events.CodeBadField, "lossPermille"},
		{"Heartbeat", "pipes.0.node", "", events.CodeBadField, "pipes.node"},
		{"Heartbeat", "pipes.0.sendKbps", -1, events.CodeBadField, "pipes.sendKbps"},
		{"Heartbeat", "pipes.0.receiveKbps", -1, events.CodeBadField, "pipes.receiveKbps"},
		{"Heartbeat", "pipes", repeat(map[string]any{"node": "n", "up": true, "sendKbps": 1, "receiveKbps": 1}, 9), events.CodeBadField, "pipes has 9 entries"},
		{"Heartbeat", "inventory.part", 1, events.CodeBadField, "inventory.part is 1, expected 0 to 0"},
		{"Heartbeat", "inventory.parts", 0, events.CodeBadField, "inventory.parts"},
		{"Heartbeat", "inventory.rooms", repeat(map[string]any{"room": "r", "members": map[string]any{}}, 2), events.CodeBadField, `lists "r" twice`},
		{"Heartbeat", "inventory.rooms.0.members.x", 0, events.CodeBadField, "inventory.rooms.members is 0"},
		{"Heartbeat", "inventory.rooms.0.epoch", -1, events.CodeBadField, "inventory.rooms.epoch"},
		{"Offer", "profile.videoCodecs", []any{}, events.CodeBadField, "videoCodecs is empty"},
		{"Offer", "profile.videoCodecs", []any{"vp8", "vp8"}, events.CodeBadField, "vp8 twice"},
		{"Offer", "profile.videoCodecs.0", "divx", events.CodeBadField, "divx"},
		{"Offer", "profile.audioStreams", 17, events.CodeBadField, "audioStreams"},
		{"Offer", "person.role", "", events.CodeBadField, "person.role"},
		{"Offer", "offer", "____", events.CodeBadOffer, "DEFLATE"},
		{"Answered", "answer", absent, events.CodeBadField, "exactly one"},
		{"Answered", "fault", map[string]any{"code": "bad_offer", "text": ""}, events.CodeBadField, "exactly one"},
		{"Left", "reason", "bored", events.CodeBadField, "reason"},
		{"Journal", "lines", []any{}, events.CodeBadField, "lines"},
		{"Journal", "lines", []any{map[string]any{"atMs": 0, "level": "WARN", "text": "x"}}, events.CodeBadField, "lines.atMs"},
		{"Journal", "lines", []any{map[string]any{"atMs": 1, "level": "", "text": "x"}}, events.CodeBadField, "lines.level"},
		{"Journal", "lines", []any{map[string]any{"atMs": 1, "level": "WARN", "text": ""}}, events.CodeBadField, "lines.text"},
		{"Journal", "node", "", events.CodeBadField, "node"},
		{"Journal", "generation", -1, events.CodeBadField, "generation"},
		{"Journal", "dropped", -1, events.CodeBadField, "dropped"},
		{"Left", "revision", 0, events.CodeBadField, "revision"},
		{"Tracks", "tracks.1.source", "microphone", events.CodeBadField, "microphone twice"},
		{"Tracks", "tracks.0.source", "smell", events.CodeBadField, "source"},
		{"Tracks", "tracks.1.width", 16385, events.CodeBadField, "width"},
		{"Want", "video.0.source", "microphone", events.CodeBadField, "camera or screen"},
		{"Want", "video.1.source", "camera", events.CodeBadField, `camera of "bob" twice`},
		{"Want", "video", repeat(map[string]any{}, 257), events.CodeBadField, "video has 257"},
		{"Snapshot", "part", 1, events.CodeBadField, "part"},
		{"Snapshot", "members.0.role", "", events.CodeBadField, "members.role"},
		{"Delta", "seq", 0, events.CodeBadField, "seq"},
		{"Streams", "streams.1.mid", "5", events.CodeBadField, `"5" twice`},
		{"Streams", "streams", repeat(entry("Streams", "streams"), 66), events.CodeBadField, "streams has 66"},
		{"Streams", "streams.0.csrc", 1 << 32, events.CodeBadField, "csrc"},
		{"Speakers", "speakers.0.level", 128, events.CodeBadField, "level"},
		{"Layers", "sources.0.source", "window", events.CodeBadField, "not a source"},
		{"Layers", "sources.1.source", "camera", events.CodeBadField, "camera twice"},
		{"Layers", "sources.0.rids", []any{}, events.CodeBadField, "0 entries"},
		{"Layers", "sources.0.rids", []any{"a", "b", "c", "d"}, events.CodeBadField, "4 entries"},
		{"Layers", "sources.0.rids.0", "", events.CodeBadField, "rids"},
		{"Error", "retryAfterMs", 3_600_001, events.CodeBadField, "retryAfterMs"},
	} {
		t.Run(test.name+"/"+test.path, func(t *testing.T) {
			refused(t, borderOf(t, test.name), with(t, test.name, test.path, test.value), test.code, test.words)
		})
	}
}

func TestInventoryKeepsToItsPart(t *testing.T) {
	key := "nm6hmlt7pwfdemvy"
	raw := with(t, "Heartbeat", "inventory", map[string]any{"takenMs": 1, "part": events.InventoryPart(key, 7), "parts": 7,
		"rooms": []any{map[string]any{"room": "r", "members": map[string]any{key: 1}}}})
	if _, err := events.Decode(events.FromNode, raw); err != nil {
		t.Error(err)
	}
	raw = with(t, "Heartbeat", "inventory", map[string]any{"takenMs": 1, "part": (events.InventoryPart(key, 7) + 1) % 7, "parts": 7,
		"rooms": []any{map[string]any{"room": "r", "members": map[string]any{key: 1}}}})
	refused(t, events.FromNode, raw, events.CodeBadField, "another part")
	if got := events.InventoryPart(key, 0); got != 0 {
		t.Errorf("of no parts: %d", got)
	}
	// Nodes and control plane must agree for ever.
	if got := events.InventoryPart(key, 1000); got != 78 {
		t.Errorf("the parts changed: %d", got)
	}
}

// leaves lists the paths of all values in a golden that are neither object nor
// array.
func leaves(v any, path string) map[string]any {
	found := map[string]any{}
	add := func(key string, inner any) {
		at := strings.TrimPrefix(path+"."+key, ".")
		for p, leaf := range leaves(inner, at) {
			found[p] = leaf
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			add(key, inner)
		}
	case []any:
		for i, inner := range v {
			add(strconv.Itoa(i), inner)
		}
	default:
		found[path] = v
	}
	return found
}

// No string without a bound, no number without a range, no value of another type.
func TestEveryValueIsBounded(t *testing.T) {
	long := strings.Repeat("a", 3000)
	mayBeLong := map[string]bool{"Answer.answer": true, "Answered.answer": true, "Renewed.token": true, "Data.payload": true, "DataFrom.payload": true} // bounded by more
	mayHaveControls := map[string]bool{
		"Offer.person.metadata": true, "Describe.metadata": true, "Snapshot.members.0.metadata": true, "Delta.changed.0.metadata": true,
		"DescribeFor.metadata": true, "RoomDescribed.metadata.text": true, "Offer.roomMetadata.text": true, "Snapshot.roomMetadata": true, "Delta.roomMetadata": true,
		"Error.text": true, "Closing.text": true, "Moderated.fault.text": true, "CapacityRequested.reason": true,
	}
	for _, b := range allBorders {
		for _, m := range events.Messages(b) {
			name := strings.TrimPrefix(fmt.Sprintf("%T", m), "events.")
			var decoded any
			if err := json.Unmarshal(golden(t, name), &decoded); err != nil {
				t.Fatal(err)
			}
			for path, value := range leaves(decoded, "") {
				if path == "action" || path == "v" {
					continue
				}
				at := name + "." + path
				try := func(value any) { t.Helper(); refusedSomehow(t, b, at, with(t, name, path, value)) }
				try(map[string]any{"no": "object"})
				try([]any{1})
				switch value.(type) {
				case string:
					try(5)
					try(true)
					if !mayBeLong[at] {
						try(long)
					}
					if !mayHaveControls[at] {
						try("control\x01character")
					}
				case float64:
					try("5")
					try(-1)
					try(1.5)
					try(1e16)
					try(1e300)
				case bool:
					try("true")
					try(1)
				}
			}
		}
	}
}

func refusedSomehow(t *testing.T, b events.Border, at string, raw []byte) {
	t.Helper()
	_, err := events.Decode(b, raw)
	var e *events.Error
	switch {
	case err == nil:
		t.Errorf("%s: taken: %.300s", at, raw)
	case !errors.As(err, &e):
		t.Errorf("%s: an error without a code: %v", at, err)
	case e.Code != events.CodeBadField && e.Code != events.CodeBadOffer:
		t.Errorf("%s: %v", at, e)
	}
}
