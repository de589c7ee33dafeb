package events_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/spillway-sfu/spillway/events"
)

// Whatever arrives, Decode answers with a message or an error that can be sent;
// and what it takes it takes again when written anew, as the same.
func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for i := range allBorders {
			f.Add(uint8(i), raw)
		}
	}
	f.Fuzz(func(t *testing.T, border uint8, raw []byte) {
		b := allBorders[int(border)%len(allBorders)]
		events.RequestID(raw)
		m, err := events.Decode(b, raw)
		if err != nil {
			var e *events.Error
			if !errors.As(err, &e) {
				t.Fatalf("an error without a code: %v", err)
			}
			if err := e.Validate(); err != nil {
				t.Fatalf("an error that cannot be sent: %v", err)
			}
			return
		}
		first, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if len(first) > events.Bound(b) {
			return // escapes made it longer than what arrived
		}
		again, err := events.Decode(b, first)
		if err != nil {
			t.Fatalf("written as %s it is refused: %v", first, err)
		}
		second, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if string(first) != string(second) {
			t.Fatalf("first %s\nthen  %s", first, second)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add("")
	f.Add(events.Pack("v=0\r\n"))
	f.Fuzz(func(t *testing.T, packed string) {
		sdp, err := events.Unpack(packed)
		if err != nil {
			var e *events.Error
			if !errors.As(err, &e) {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		if len(sdp) > events.MaxSDP {
			t.Fatalf("%d bytes", len(sdp))
		}
		if back, err := events.Unpack(events.Pack(sdp)); err != nil || back != sdp {
			t.Fatalf("packed anew it differs: %v", err)
		}
	})
}
