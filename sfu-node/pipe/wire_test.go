package pipe

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events/goldentest"
)

// goldens are the messages of version 1 as nodes of earlier builds write and read
// them, by kind: testdata/NAME.json for each Go type.
func goldens(t testing.TB) map[kind][]byte {
	t.Helper()
	all := map[kind][]byte{}
	for k := kindOpen; k < kinds; k++ {
		m, err := decode(k, []byte("{}"))
		if err != nil {
			t.Fatalf("kind %d: %v", k, err)
		}
		if m.kind() != k {
			t.Fatalf("kind %d is decoded as kind %d", k, m.kind())
		}
		raw, err := os.ReadFile(filepath.Join("testdata", reflect.TypeOf(m).Name()+".json"))
		if err != nil {
			t.Fatal(err)
		}
		all[k] = raw
	}
	return all
}

// Every message of the control channel has a golden with all of its fields, which
// comes back as it was: renaming a field, or a kind's number, would part nodes of
// two builds in one room.
func TestGoldens(t *testing.T) {
	t.Parallel()
	names := []string{"", "", "Open", "Shut", "Roster", "Layers", "Speaking", "Wants", "Key", "Clocks", "Said"}
	for k, raw := range goldens(t) {
		m, err := decode(k, raw)
		if err != nil {
			t.Fatal(err)
		}
		typ := reflect.TypeOf(m)
		if typ.Name() != names[k] {
			t.Errorf("kind %d is %s, of version 1 it is %s", k, typ.Name(), names[k])
		}
		goldentest.Same(t, raw, m)
		for _, missing := range goldentest.Unshown(t, raw, typ) {
			t.Errorf("testdata/%s.json does not show %s", typ.Name(), missing)
		}
		if m.About() != "lounge" {
			t.Errorf("%s is about %q", typ.Name(), m.About())
		}
		// A later version may know more of it.
		later := append([]byte(`{"later":{"than":["this"]},`), raw[1:]...)
		if same, err := decode(k, later); err != nil || !reflect.DeepEqual(same, m) {
			t.Errorf("%s with a field of a later version: %+v, %v", typ.Name(), same, err)
		}
	}
}

func TestUnreadableFrames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, raw, says string }{
		{"nothing", "", "EOF"},
		{"half a head", "\x00\x00\x00", "unexpected EOF"},
		{"half a body", "\x00\x00\x00\x05\x02{}", "unexpected EOF"},
		{"an oversize one", "\x00\x10\x00\x01\x02{}", "at most 1048576 are taken"},
		{"the largest length there is", "\xff\xff\xff\xff\x02{}", "at most 1048576 are taken"},
	} {
		if _, _, err := readFrame(strings.NewReader(c.raw), nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, expected something with %q", c.name, err, c.says)
		}
	}
	for _, raw := range []string{"", "[]", `"text"`, `{"room":7}`, `{"room":"lounge"`, "\xff"} {
		if m, err := decode(kindRoster, []byte(raw)); err == nil {
			t.Errorf("%q is read as %+v", raw, m)
		}
	}
}

// FuzzFrames reads whatever a peer may write: it is refused, or it is a message
// that can be written again and is then the same.
func FuzzFrames(f *testing.F) {
	for k, raw := range goldens(f) {
		f.Add(frame(k, raw))
	}
	f.Add(frame(kindAlive, nil))
	f.Add(frame(kinds, []byte("{}")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		k, body, err := readFrame(bytes.NewReader(raw), make([]byte, 0, 64))
		if err != nil {
			return
		}
		if len(body) > maxFrame {
			t.Fatalf("a frame of %d bytes is taken", len(body))
		}
		m, err := decode(k, body)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("%T is read and cannot be written: %v", m, err)
		}
		same, err := decode(k, again)
		if err != nil {
			t.Fatalf("%T is written and cannot be read: %v", m, err)
		}
		if third, _ := json.Marshal(same); !bytes.Equal(again, third) {
			t.Fatalf("%s is another after a second time: %s", again, third)
		}
	})
}
