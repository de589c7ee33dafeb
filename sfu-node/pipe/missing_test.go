package pipe

import (
	"testing"
	"time"
)

// A packet is asked for again when it should have come: the longer repairs take, the
// later, and in the end no more.
func TestWhatIsMissingIsAskedForInTime(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	asks := func(l *Link, from time.Duration) (at []time.Duration) {
		in := &incoming{}
		in.note(l, 1, from)
		in.note(l, 3, from)
		for now := from; now < from+2*time.Second; now += ms {
			if len(in.due(l, now)) > 0 {
				at = append(at, now-from)
			}
		}
		if len(in.missing) > 0 {
			t.Errorf("%d are still waited for", len(in.missing))
		}
		return at
	}
	l := &Link{}
	if at := asks(l, ms); len(at) != 9 || at[0] != 0 || at[1] != 10*ms || at[2] != 25*ms || at[8] > 600*ms {
		t.Errorf("before anything is known: %v", at)
	}
	// Here repairs take 200 ms.
	for range 50 {
		in := &incoming{}
		in.note(l, 1, ms)
		in.note(l, 3, ms)
		in.due(l, ms)
		if in.note(l, 2, 201*ms) {
			t.Fatal("it came, and is still missing")
		}
	}
	if at := asks(l, ms); len(at) != 2 || at[1] < 240*ms || at[1] > 260*ms {
		t.Errorf("where repairs take 200 ms: %v", at)
	}
}
