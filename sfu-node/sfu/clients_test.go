package sfu

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

func (p *person) fares(change ...func(*events.Stats)) {
	p.t.Helper()
	m := events.Stats{Header: events.Head(events.ActionStats), SendKbps: 900, ReceiveKbps: 1200, RTTMs: 30, JitterMs: 4, LimitedBy: events.LimitedByNothing}
	for _, c := range change {
		c(&m)
	}
	p.send(m)
}

// What browsers say of how they fare is counted, told room by room, and bounded: who
// says it too often is refused.
func TestWhatBrowsersSayIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.join("ann"), w.join("bob", viewer)
	other := w.join("cas", func(o *events.Offer, _ *lightpeer.Options) { o.Room = "elsewhere" })
	other.isHere()
	ann.fares(func(s *events.Stats) { s.RTTMs, s.LimitedBy, s.Freezes = 250, events.LimitedByBandwidth, 2 })
	bob.fares(func(s *events.Stats) { s.ReceiveLossPermille = 40 })
	bob.fares()
	bob.until("a refusal", func() bool {
		m, ok := last[events.Error](bob)
		return ok && m.Code == events.CodeRateLimited && m.RetryAfterMs > 0
	})
	ann.send(events.Ping{Header: events.Head(events.ActionPing), N: 7}) // answered in turn
	ann.until("an answer", func() bool { m, ok := last[events.Pong](ann); return ok && m.N == 7 })

	figures := w.RoomFigures(time.Second)
	if len(figures) != 2 || figures[0].Room != "room" || figures[1].Room != "elsewhere" {
		t.Fatalf("figures %+v", figures)
	}
	f := figures[0]
	if f.People != 2 || f.Publishers != 1 || f.OverTCP != 0 || f.Freezes != 2 || f.LimitedByBandwidth != 1 || f.LimitedByCPU != 0 {
		t.Errorf("figures %+v", f)
	}
	if !slices.Equal(f.RTTMs, []int64{30, 250}) || !slices.Equal(f.ReceiveLossPermille, []int64{0, 40}) || !slices.Equal(f.ClientSendKbps, []int64{900, 900}) {
		t.Errorf("what browsers said is %+v", f)
	}
	if again := w.RoomFigures(time.Second)[0]; again.Freezes != 0 || len(again.RTTMs) != 2 {
		t.Errorf("the next figures are %+v", again)
	}

	var b strings.Builder
	if err := w.WriteMetrics(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"spillway_people_over_tcp 0\n", `spillway_client_limited_total{by="bandwidth"} 1` + "\n", `spillway_client_limited_total{by="none"} 1` + "\n",
		`spillway_client_rtt_milliseconds_bucket{le="50"} 1` + "\n", `spillway_client_rtt_milliseconds_bucket{le="400"} 2` + "\n",
		"spillway_client_rtt_milliseconds_sum 280\n", "spillway_client_rtt_milliseconds_count 2\n",
		`spillway_client_receive_loss_permille_bucket{le="20"} 1` + "\n", "spillway_client_freezes_total 2\n", "spillway_client_receive_kbps_sum 2400\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q in\n%s", want, b.String())
		}
	}
}

func TestASampleKeepsTheEnds(t *testing.T) {
	t.Parallel()
	many := make([]int64, 1000)
	for i := range many {
		many[i] = int64(999 - i)
	}
	some := sample(many, 100)
	if len(some) != 100 || some[0] != 0 || some[99] != 999 || !slices.IsSorted(some) || some[50] < 490 || some[50] > 520 {
		t.Errorf("%v", some)
	}
	if few := sample([]int64{3, 1}, 100); !slices.Equal(few, []int64{1, 3}) {
		t.Errorf("%v", few)
	}
}
