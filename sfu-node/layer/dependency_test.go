package layer

import (
	"testing"
)

// writer writes numbers of some bits each.
type writer struct {
	p []byte
	n int
}

func (w *writer) put(v, bits int) {
	for bits--; bits >= 0; bits-- {
		if w.n%8 == 0 {
			w.p = append(w.p, 0)
		}
		w.p[w.n/8] |= byte(v>>bits&1) << (7 - w.n%8)
		w.n++
	}
}

// described is a descriptor to be written.
type described struct {
	start, end, template int
	structure            bool
	custom               []int // a frame's own indications
}

// targets of the structure that write writes: for each spatial layer one without
// and one with its second temporal layer.
const testTargets = 6

// indication is what the frames of L3T2_KEY are to a decode target: key says that
// they are of a key picture.
func indication(spatial, temporal, target int, key bool) int {
	const nothing, required = 0, 3
	targetSpatial, targetTemporal := target/2, target%2
	switch {
	case spatial == targetSpatial && temporal <= targetTemporal:
		return required
	case key && spatial < targetSpatial:
		return required
	}
	return nothing
}

// testTemplates are those of write's structure in the order of the format: for each
// spatial layer a key frame, another of the first temporal layer, one of the second.
const testTemplates = 9

func (d described) write(offset int) []byte {
	var w writer
	w.put(d.start, 1)
	w.put(d.end, 1)
	w.put((d.template+offset)%64, 6)
	w.put(4711, 16)
	if !d.structure && d.custom == nil {
		return w.p
	}
	flag := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	w.put(flag(d.structure), 1)
	w.put(0, 1)
	w.put(flag(d.custom != nil), 1)
	w.put(0, 2)
	if d.structure {
		w.put(offset, 6)
		w.put(testTargets-1, 5)
		for i := range testTemplates {
			next := []int{0, 1, 2}[i%3]
			if i == testTemplates-1 {
				next = 3
			}
			w.put(next, 2)
		}
		for i := range testTemplates {
			for target := range testTargets {
				w.put(indication(i/3, i%3/2, target, i%3 == 0), 2)
			}
		}
		for i := range testTemplates {
			if i%3 != 0 { // needs an earlier frame
				w.put(1, 1)
				w.put(i, 4)
			}
			w.put(0, 1)
		}
		w.put(0b100, 3) // three chains of up to six: a number below seven, zero in two bits, others in three
		for target := range testTargets {
			if chain := target / 2; chain < 1 { // a number below three, the first in one bit
				w.put(0, 1)
			} else {
				w.put(chain+1, 2)
			}
		}
		for range testTemplates * 3 {
			w.put(5, 4)
		}
		w.put(1, 1)
		for _, height := range []int{180, 360, 720} {
			w.put(height*16/9-1, 16)
			w.put(height-1, 16)
		}
	}
	for _, v := range d.custom {
		w.put(v, 2)
	}
	return w.p
}

func TestDependencies(t *testing.T) {
	const offset = 60 // the templates' numbers wrap
	var d Dependencies
	if _, ok := d.Read(described{template: 1}.write(offset)); ok {
		t.Fatal("reads a frame before there was a structure")
	}
	for i, c := range []struct {
		name string
		in   described
		want Part
	}{
		{"a key frame with the structure", described{start: 1, template: 0, structure: true}, Part{Layers: 0b111}},
		{"its end", described{end: 1, template: 0}, Part{Layers: 0b111, Ends: 0b001}},
		{"the second layer's key frame", described{start: 1, end: 1, template: 3}, Part{Layers: 0b110, Ends: 0b010}},
		{"the third's", described{end: 1, template: 6}, Part{Layers: 0b100, Ends: 0b100}},
		{"another of the first", described{end: 1, template: 1}, Part{Layers: 0b001, Ends: 0b001}},
		{"of the second temporal layer", described{template: 5}, Part{Layers: 0b010}},
		{"one that says itself whom it is for", described{template: 1, custom: []int{0, 2, 0, 2, 0, 0}}, Part{Layers: 0b011}},
	} {
		got, ok := d.Read(c.in.write(offset))
		if !ok || got != c.want {
			t.Errorf("%d, %s: got %+v, %v, want %+v", i, c.name, got, ok, c.want)
		}
	}
	if d.Layers() != 3 || d.Height(0) != 180 || d.Height(2) != 720 {
		t.Errorf("got %d layers, %d and %d high", d.Layers(), d.Height(0), d.Height(2))
	}
	before := d.Layers()
	if _, ok := d.Read(described{template: 9}.write(offset)); ok {
		t.Error("reads a frame of a template that is not there")
	}
	whole := described{start: 1, structure: true}.write(offset)
	for n := range whole {
		var fresh Dependencies
		if _, ok := fresh.Read(whole[:n]); ok {
			t.Errorf("takes a structure of which %d of %d bytes are there", n, len(whole))
		}
		if fresh.Layers() != 0 {
			t.Fatalf("keeps what it refused")
		}
	}
	if d.Layers() != before {
		t.Error("a frame that was refused changed the structure")
	}
}

func FuzzDependencies(f *testing.F) {
	f.Add(described{start: 1, structure: true}.write(3), described{template: 4}.write(3))
	f.Add(described{start: 1, structure: true}.write(3), described{template: 4, custom: []int{1, 2, 3, 0, 1, 2}}.write(3))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var d Dependencies
		for _, ext := range [][]byte{first, second} {
			p, ok := d.Read(ext)
			if !ok {
				continue
			}
			if p.Layers>>Count != 0 || p.Ends&^p.Layers != 0 || d.Layers() < 1 || d.Layers() > maxSpatial {
				t.Fatalf("reads %+v of %d layers", p, d.Layers())
			}
		}
	})
}
