package price_test

import (
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
)

func TestTypesCarryWhatTheyCost(t *testing.T) {
	c7g, err := price.Type("c7g.large")
	if err != nil || !room.Default().SeatLoad(room.Publisher).Times(50).Fits(c7g.Capacity) {
		t.Errorf("%v, %v", c7g, err)
	}
	if _, err := price.Type("t2.nano"); err == nil || !strings.Contains(err.Error(), "c7g.large") {
		t.Errorf("an unknown type: %v", err)
	}
	for _, a := range price.Types() {
		if a.Hour <= 0 || a.SpotHour <= 0 || a.SpotHour >= a.Hour || a.VCPU < 1 || a.Capacity.Kbps < 1 || a.Capacity.PPS < 1 {
			t.Errorf("%+v", a)
		}
	}
}

func TestEgressFallsInTiers(t *testing.T) {
	for _, c := range []struct {
		gb   float64
		want price.Micros
	}{
		{0, 0},
		{100, 0},
		{101, 90_000},
		{10_240, 10_140 * 90_000},
		{10_241, 10_140*90_000 + 85_000},
		{10_240 + 40_960 + 102_400 + 10, 10_140*90_000 + 40_960*85_000 + 102_400*70_000 + 10*50_000},
	} {
		if got := price.Egress(c.gb); got != c.want {
			t.Errorf("%v GB cost %v, want %v", c.gb, got, c.want)
		}
	}
}

func TestDollarsRead(t *testing.T) {
	for m, want := range map[price.Micros]string{72_500: "$0.0725", 1_250_000: "$1.25", 0: "$0.00"} {
		if m.String() != want {
			t.Errorf("%d reads %s, want %s", int64(m), m, want)
		}
	}
}
