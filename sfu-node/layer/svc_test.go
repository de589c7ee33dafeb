package layer

import (
	"math/rand/v2"
	"testing"
)

func TestPartVP9(t *testing.T) {
	for _, c := range []struct {
		name   string
		d      Descriptor
		layers int
		want   Part
	}{
		{"a key picture's smallest frame is for all", Descriptor{End: true}, 3, Part{Layers: 0b111, Ends: 0b001}},
		{"its second for those above", Descriptor{Spatial: 1}, 3, Part{Layers: 0b110}},
		{"its last", Descriptor{Spatial: 2, End: true}, 3, Part{Layers: 0b100, Ends: 0b100}},
		{"another picture's frame is its layer's own", Descriptor{Predicted: true, Unreferenced: true, End: true}, 3, Part{Layers: 0b001, Ends: 0b001}},
		{"unless those above need it", Descriptor{Predicted: true, Spatial: 1, End: true}, 3, Part{Layers: 0b110, Ends: 0b010}},
		{"two layers", Descriptor{}, 2, Part{Layers: 0b011}},
		{"a layer more than there are", Descriptor{Spatial: 2, End: true}, 2, Part{}},
		{"more layers than anybody is offered", Descriptor{Spatial: 4, End: true}, 5, Part{}},
	} {
		if got := c.d.Part(c.layers); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestScalability(t *testing.T) {
	p := []byte{0x8a, 0x01, 0x58, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, 0x05, 0x00, 0x02, 0xd0, 0x01, 0x04, 0x01, 9}
	d, ok := ParseVP9(p)
	if !ok || d.Height != 720 {
		t.Fatalf("got %+v, %v", d, ok)
	}
	if layers, heights := d.Scalability(p); layers != 3 || heights != [Count]int{180, 360, 720} {
		t.Errorf("got %d layers of %v", layers, heights)
	}
	plain := []byte{0x88, 0x01, 9}
	d, _ = ParseVP9(plain)
	if layers, _ := d.Scalability(plain); layers != 0 {
		t.Errorf("got %d layers where nothing is told", layers)
	}
}

// sent is a packet of a scalable stream of three layers.
type sent struct {
	sequence uint16
	layers   uint8
}

// sending makes n packets in pictures of three frames each; every twentieth is a
// key picture.
func sending(n int, sequence uint16, random *rand.Rand) (list []sent) {
	for picture := 0; len(list) < n; picture++ {
		for spatial := range Count {
			layers := uint8(1 << spatial)
			if picture%20 == 0 {
				layers = 0b111 &^ (layers - 1)
			}
			for range 1 + random.IntN(4) {
				list = append(list, sent{sequence, layers})
				sequence++
			}
		}
	}
	return list
}

func TestSplitterLeavesNoGaps(t *testing.T) {
	var s Splitter
	var next [Count]uint16
	first := true
	for _, p := range sending(150_000, 65_000, rand.New(rand.NewPCG(1, 2))) { // wraps twice
		numbers, ok := s.Number(p.sequence, p.layers)
		if !ok {
			t.Fatalf("packet %d has no number", p.sequence)
		}
		if first {
			next, first = numbers, false // the first is for all
		}
		for i := range Count {
			if p.layers&(1<<i) == 0 {
				continue
			}
			if numbers[i] != next[i] {
				t.Fatalf("layer %d: %d follows %d", i, numbers[i], next[i]-1)
			}
			next[i]++
		}
	}
}

// What comes late or twice has the number that it would have had in time, and no
// two packets of a layer share one, whatever is lost.
func TestSplitterInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	list := sending(20_000, 60_000, random)
	for i := range list {
		if j := i + random.IntN(30); random.IntN(10) == 0 && j < len(list) {
			list[i], list[j] = list[j], list[i]
		}
	}
	var s Splitter
	type key struct {
		layer  int
		number uint16
	}
	taken := map[key]int{}
	for at, p := range list {
		if random.IntN(20) == 0 {
			continue // lost
		}
		numbers, ok := s.Number(p.sequence, p.layers)
		again, okAgain := s.Number(p.sequence, p.layers)
		if ok != okAgain || ok && numbers != again {
			t.Fatalf("packet %d: %v, then %v", p.sequence, numbers, again)
		}
		if !ok {
			if at > 100 {
				t.Fatalf("packet %d has no number", p.sequence)
			}
			continue
		}
		for i := range Count {
			if p.layers&(1<<i) == 0 {
				continue
			}
			k := key{i, numbers[i]}
			if before, is := taken[k]; is && at-before < 1<<14 {
				t.Fatalf("layer %d: number %d is given twice, to the %dth and %dth", i, k.number, before, at)
			}
			taken[k] = at
		}
	}
}

func TestSplitterRefusesWhatIsTooLate(t *testing.T) {
	var s Splitter
	s.Number(1000, 1)
	if _, ok := s.Number(999, 1); ok {
		t.Error("numbers a packet from before the first")
	}
	s.Number(1000+splitMemory, 1)
	if _, ok := s.Number(1000, 1); ok {
		t.Error("numbers a packet that it has forgotten")
	}
	s.Number(5000, 1)
	if _, ok := s.Number(4999, 1); !ok {
		t.Error("does not number a missing packet after a long gap")
	}
}
