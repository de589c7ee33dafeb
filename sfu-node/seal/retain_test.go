package seal

import (
	"errors"
	"testing"
)

// SSRCs beyond the bound are refused, with the packet as it was, until others are
// let go of.
func TestRetain(t *testing.T) {
	s, o, _ := newPair(t, AES128GCM)
	o.Bound(2)
	for ssrc := uint32(1); ssrc <= 2; ssrc++ {
		b, header := plain(t, ssrc, 1, 10)
		if _, _, err := o.Open(seal(t, s, b, header)); err != nil {
			t.Fatal(err)
		}
	}
	b, header := plain(t, 3, 1, 10)
	sealed := seal(t, s, b, header)
	if _, _, err := o.Open(sealed); !errors.Is(err, ErrStreams) {
		t.Fatalf("beyond the bound: %v", err)
	}
	o.Retain(func(ssrc uint32) bool { return ssrc == 2 })
	if _, _, err := o.Open(sealed); err != nil {
		t.Errorf("after another was let go of: %v", err)
	}
	if len(o.streams) != 2 {
		t.Errorf("%d SSRCs are kept", len(o.streams))
	}
}
