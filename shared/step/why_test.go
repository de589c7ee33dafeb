package step_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/shared/placement"
)

// TestEveryPlacementAndLaunchCanBeMadeAgain runs a fleet, then explains each
// line of its log that placed a block or launched a node.
func TestEveryPlacementAndLaunchCanBeMadeAgain(t *testing.T) {
	l := newLab(t, 10)
	l.withTypes()
	var log bytes.Buffer
	l.World.World.Log = slog.New(slog.NewJSONHandler(&log, nil))
	for i := range 70 {
		l.joins(someone(fmt.Sprintf("p%02d", i), fmt.Sprintf("r%d", i/6)))
	}
	l.capacity()
	for i, id := range l.EC2.Living() {
		l.boots(id, fmt.Sprintf("boot-number-%d", i))
	}
	l.capacity()
	for i := range 12 { // some find a place by the index
		l.joins(someone(fmt.Sprintf("q%02d", i), fmt.Sprintf("r%d", i)))
	}
	placed, launched := 0, 0
	for line := range strings.Lines(log.String()) {
		why, err := placement.Explain(line)
		if err != nil {
			continue
		}
		if !strings.HasSuffix(why, "the decision is the same.\n") {
			t.Errorf("%s\nfrom %s", why, line)
		}
		if strings.Contains(line, placement.KeyShortage) {
			launched++
		} else {
			placed++
			// Another choice than the one that was made is noticed.
			altered := strings.Replace(line, `"rank":`, `"rank":9`, 1)
			if why, err := placement.Explain(altered); err != nil || !strings.Contains(why, "\nDiffers:") {
				t.Errorf("%v: %s", err, why)
			}
		}
	}
	if placed < 12 || launched < 1 {
		t.Errorf("%d placements and %d launches could be explained", placed, launched)
	}
}
