package main

import (
	"testing"
	"time"
)

// What is measured must be what happened: on a way that loses nothing everything
// comes, on a narrow one a pipe goes on sending and QUIC holds back.
func TestBothCarryWhatIsOffered(t *testing.T) {
	for _, c := range carriers {
		t.Run(c.name, func(t *testing.T) {
			f, err := measure(t.Context(), row{mbps: 2}, c.make, time.Second/2)
			if err != nil {
				t.Fatal(err)
			}
			if f.delivered != 1 || f.unsent != 0 || f.p50 <= 0 || f.p99 < f.p50 {
				t.Errorf("without a way between: %+v", f)
			}
			narrow := shape{mbps: 2, delay: 5 * time.Millisecond, queue: 40 * time.Millisecond}
			if f, err = measure(t.Context(), row{mbps: 6, shape: narrow}, c.make, time.Second); err != nil {
				t.Fatal(err)
			}
			if f.delivered >= 0.9 || f.p50 < 5 {
				t.Errorf("a third of it fits: %+v", f)
			}
			if held := f.unsent > 0; held != (c.name == "QUIC datagrams") {
				t.Errorf("given up before it was sent: %+v", f)
			}
		})
	}
}
