package bandwidth

import (
	"math"
	"time"
)

const (
	// GCC, section 6: above a tenth, loss is congestion; up to 2 % it is none.
	tooMuchLoss = 0.10
	growLoss    = 0.02
	heavyLoss   = 0.3

	lossWindow  = time.Second
	lossPackets = 20 // judged at a time, at least
	lossWindows = 8
	// Loss that was there at the lowest rates too is the way's own: it is not
	// believed beyond this.
	ownLoss = 0.15
)

// loss counts what was lost, in windows, and tells a way that loses by itself
// from one that is full.
type loss struct {
	missing, arrived int
	since            time.Duration
	begun            bool

	recent float64
	counts int  // packets in the last window
	rising bool // more than the way's own
	shares [lossWindows]float64
	n      int
}

func (l *loss) lost(at time.Duration) { l.begin(at); l.missing++ }
func (l *loss) got(at time.Duration)  { l.begin(at); l.arrived++ }

// found takes back that a packet was lost: it was only late.
func (l *loss) found() { l.missing = max(0, l.missing-1) }

func (l *loss) begin(at time.Duration) {
	if !l.begun {
		l.since, l.begun = at, true
	}
}

// window returns the share lost when a window is complete.
func (l *loss) window(at time.Duration) (share float64, complete bool) {
	total := l.missing + l.arrived
	if at-l.since < lossWindow || total < lossPackets {
		return 0, false
	}
	share = float64(l.missing) / float64(total)
	l.counts = total
	l.missing, l.arrived, l.since = 0, 0, at
	return share, true
}

// verdict reports whether a window's loss is a sign that too much is sent: more
// than the way loses by itself, and more than chance makes of that.
func (l *loss) verdict(share float64) bool {
	own := 0.0
	if l.n >= 3 {
		own = min(l.lowQuarter(), ownLoss)
	}
	l.shares[l.n%lossWindows] = share
	l.n++
	l.recent = share
	l.rising = share > 1.5*own+growLoss
	chance := math.Sqrt(share * (1 - share) / float64(max(lossPackets, l.counts)))
	return share > max(tooMuchLoss, 1.5*own+0.05)+2*chance
}

// lowQuarter is the second lowest of the last windows.
func (l *loss) lowQuarter() float64 {
	low, next := 1.0, 1.0
	for _, s := range l.shares[:min(l.n, lossWindows)] {
		if s < low {
			low, next = s, low
		} else {
			next = min(next, s)
		}
	}
	return next
}
