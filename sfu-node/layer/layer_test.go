package layer

import (
	"testing"
	"time"
)

// flows makes the flows of three layers of a source of 720 pixels: a rate for
// each, or -1 for one that does not flow.
func flows(q, h, f int64) [Count]Flow {
	var out [Count]Flow
	for i, kbps := range [Count]int64{q, h, f} {
		if kbps >= 0 {
			out[i] = Flow{Live: true, Kbps: kbps, Height: Height(i, 720)}
		}
	}
	return out
}

func TestIndex(t *testing.T) {
	for _, c := range []struct {
		rid  string
		want int
		ok   bool
	}{{"q", 0, true}, {"h", 1, true}, {"f", 2, true}, {"", 2, true}, {"x", None, false}, {"qq", None, false}} {
		if got, ok := Index(c.rid); got != c.want || ok != c.ok {
			t.Errorf("Index(%q) = %d, %v", c.rid, got, ok)
		}
	}
}

func TestChoose(t *testing.T) {
	unknown := flows(1, 1, 1)
	for i := range unknown {
		unknown[i].Height = 0
	}
	small := flows(1, 1, -1) // an encoder that found two layers enough
	small[0].Height, small[1].Height = 90, 180
	for _, c := range []struct {
		name   string
		height int
		flows  [Count]Flow
		want   int
	}{
		{"all flow, tiny tile", 90, flows(1, 1, 1), 0},
		{"exactly a layer", 180, flows(1, 1, 1), 0},
		{"one pixel more", 181, flows(1, 1, 1), 1},
		{"half", 360, flows(1, 1, 1), 1},
		{"full", 720, flows(1, 1, 1), 2},
		{"more than there is", 2160, flows(1, 1, 1), 2},
		{"nothing wanted but shown", 0, flows(1, 1, 1), 0},
		{"the wanted one does not flow, a higher one does", 360, flows(1, -1, 1), 2},
		{"only lower ones flow", 720, flows(1, 1, -1), 1},
		{"only the highest flows", 90, flows(-1, -1, 1), 2},
		{"nothing flows", 720, flows(-1, -1, -1), None},
		{"heights unknown", 90, unknown, 2},
		{"heights as measured", 180, small, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Choose(Demand{Height: c.height, Flows: c.flows}); got != c.want {
				t.Errorf("got %d, expected %d", got, c.want)
			}
		})
	}
}

func TestAllocate(t *testing.T) {
	all := flows(150, 500, 2500)
	for _, c := range []struct {
		name    string
		budget  int64
		demands []Demand
		want    []int
	}{
		{"no bound", 0, []Demand{{Height: 720, Current: None, Flows: all}, {Height: 720, Current: None, Flows: all}}, []int{2, 2}},
		{"enough", 10_000, []Demand{{Height: 720, Current: None, Flows: all}, {Height: 360, Current: None, Flows: all}}, []int{2, 1}},
		{"the first has precedence", 3000, []Demand{{Height: 720, Current: None, Flows: all}, {Height: 720, Current: None, Flows: all}}, []int{2, 0}},
		{"step down", 1000, []Demand{{Height: 720, Current: None, Flows: all}, {Height: 720, Current: None, Flows: all}}, []int{1, 0}},
		{"nothing left", 500, []Demand{{Height: 720, Current: None, Flows: all}, {Height: 720, Current: None, Flows: all}, {Height: 720, Current: None, Flows: all}, {Height: 720, Current: None, Flows: all}}, []int{0, 0, 0, None}},
		{"keep what fits the whole budget", 2500, []Demand{{Height: 720, Current: 2, Flows: all}}, []int{2}},
		{"but do not go up to it", 2500, []Demand{{Height: 720, Current: 1, Flows: all}}, []int{1}},
		{"unknown rates cost nothing", 100, []Demand{{Height: 720, Current: None, Flows: flows(0, 0, 0)}}, []int{2}},
		{"not flowing costs nothing", 1000, []Demand{{Height: 720, Current: None, Flows: flows(-1, -1, -1)}, {Height: 360, Current: None, Flows: all}}, []int{None, 1}},
		{"all have a picture before one has a better one", 1200, []Demand{{Height: 720, Current: 2, Flows: flows(150, 500, 800)}, {Height: 720, Current: 0, Flows: all}, {Height: 720, Current: 0, Flows: all}}, []int{2, 0, 0}},
		{"but for what comes first", 2600, []Demand{{Height: 180, Current: None, Flows: all}, {Height: 720, Current: 2, Flows: all, First: true}}, []int{None, 2}},
		{"held, though it fits", 10_000, []Demand{{Height: 720, Current: 1, Flows: all, Held: true}, {Height: 720, Current: None, Flows: all, Held: true}}, []int{1, 0}},
		{"the last layer is kept, if it is only a little too much", 120, []Demand{{Height: 720, Current: 1, Flows: all}}, []int{0}},
		{"but not begun", 120, []Demand{{Height: 720, Current: None, Flows: all}}, []int{None}},
		{"held, and too much", 400, []Demand{{Height: 720, Current: 1, Flows: all, Held: true}}, []int{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Allocate(c.budget, c.demands)
			for i := range c.want {
				if got[i] != c.want[i] {
					t.Fatalf("got %v, expected %v", got, c.want)
				}
			}
		})
	}
}

// FuzzAllocate checks what holds for all demands: what is chosen flows, fits the
// budget, and is never more than the demand is best served by.
func FuzzAllocate(f *testing.F) {
	f.Add(int64(1000), []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Fuzz(func(t *testing.T, budget int64, raw []byte) {
		if budget < 0 {
			budget = -(budget + 1)
		}
		budget %= 1 << 40
		var demands []Demand
		for ; len(raw) >= 5; raw = raw[5:] {
			d := Demand{Height: int(raw[0]) * 8, Current: int(raw[1]%4) - 1, First: raw[1]&8 != 0, Held: raw[1]&16 != 0}
			for i := range d.Flows {
				b := raw[2+i]
				d.Flows[i] = Flow{Live: b&1 != 0, Kbps: int64(b) * 10, Height: Height(i, int(raw[1])*8)}
			}
			demands = append(demands, d)
		}
		var used int64
		for n, i := range Allocate(budget, demands) {
			d := demands[n]
			if i == None {
				continue
			}
			used += d.Flows[i].Kbps
			if !d.Flows[i].Live {
				t.Errorf("demand %d gets layer %d, which does not flow", n, i)
			}
			if d.Held && i > max(d.Current, d.Above(None)) {
				t.Errorf("demand %d is held at %d and gets layer %d", n, d.Current, i)
			}
			if best := Choose(d); i > best {
				t.Errorf("demand %d gets layer %d, %d serves it", n, i, best)
			}
		}
		if budget > 0 && used > budget*lastShare/100 {
			t.Errorf("%d kbps are used of %d", used, budget)
		}
	})
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		rate uint32
		want uint32
	}{
		{0, 90000, 0}, {-time.Second, 90000, 0}, {time.Second, 90000, 90000}, {20 * time.Millisecond, 48000, 960},
		{time.Millisecond / 90, 90000, 0}, {24 * time.Hour, 90000, 90000 * 86400 % (1 << 32)},
	} {
		if got := ticks(c.d, c.rate); got != c.want {
			t.Errorf("%v at %d Hz: %d, expected %d", c.d, c.rate, got, c.want)
		}
	}
}
