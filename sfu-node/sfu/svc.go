package sfu

import (
	"encoding/binary"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

// svc takes apart a line that carries several spatial layers: each becomes an
// uplink, as if the participant sent it by itself, and what is behind the uplinks
// does not know the difference.
type svc struct {
	ups     [layer.Count]*uplink
	numbers layer.Splitter
	layers  int // how many there are now
	base    int // which layer the smallest is
}

// scalable reports which layers a packet belongs to, if its line carries several.
// Once it has carried several, a line is taken apart for good: its layers' numbers
// go on. The caller holds the intake's lock.
func (in *intake) scalable(p *Peer, l *line, b []byte, header int) (part layer.Part, is bool) {
	layers, heights := 0, [layer.Count]int{}
	switch l.section.codecs[b[1]&0x7f] {
	case codecVP9:
		payload := withoutPadding(b, header)
		if l.svc == nil && !layer.StructuredVP9(payload) {
			return part, false // it says nothing of layers
		}
		d, ok := layer.ParseVP9(payload)
		if !ok {
			return part, l.svc != nil
		}
		if layers, heights = d.Scalability(b[header:]); layers == 0 && l.svc != nil {
			layers = l.svc.layers
		}
		part = d.Part(layers)
	case codecAV1:
		ext := extensionOf(b, header, in.dependencyID)
		if ext == nil {
			return part, l.svc != nil
		}
		if l.dependencies == nil {
			l.dependencies = &layer.Dependencies{}
		}
		var ok bool
		if part, ok = l.dependencies.Read(ext); !ok {
			return part, l.svc != nil
		}
		layers = l.dependencies.Layers()
		for i := range heights {
			heights[i] = l.dependencies.Height(i)
		}
	}
	if layers > 1 && l.svc == nil {
		l.svc = newSVC(p, l)
	}
	if l.svc == nil {
		return part, false
	}
	if layers > 0 {
		l.svc.become(l, layers, heights)
	}
	return part, true
}

func newSVC(p *Peer, l *line) *svc {
	v := &svc{}
	for i := range v.ups {
		if v.ups[i] = l.up; i != l.up.layer {
			v.ups[i] = newUplink(p, l.section, i, l.ssrc)
		}
		v.ups[i].svc = v
	}
	return v
}

// top is the largest layer there is now, or layer.None where v is nil.
func (v *svc) top() int {
	if v == nil {
		return layer.None
	}
	return min(v.base+v.layers, layer.Count) - 1
}

// become notes which layers there are. A stream of one layer is what its RID says.
func (v *svc) become(l *line, layers int, heights [layer.Count]int) {
	if v.layers == layers && heights[0] == 0 {
		return
	}
	v.layers, v.base = layers, 0
	if layers == 1 {
		v.base = l.up.layer
	}
	for i, h := range heights[:layer.Count-v.base] {
		if h > 0 {
			v.ups[v.base+i].height = h
		}
	}
}

// take gives a packet, which is in the i-th buffer of a reader, to each layer that
// it is part of.
func (v *svc) take(r *reader, i int, b []byte, part layer.Part, now time.Duration) {
	part.Layers, part.Ends = part.Layers<<v.base, part.Ends<<v.base
	numbers, ok := v.numbers.Number(binary.BigEndian.Uint16(b[2:]), part.Layers)
	if !ok {
		r.sfu.count.drop(DropLate)
		return
	}
	v.ups[0].arrived(b)
	for n, u := range v.ups {
		bit := uint8(1) << n
		if part.Layers&bit == 0 {
			continue
		}
		q, last := u.free(), part.Layers&^(bit<<1-1) == 0
		raw := b
		if !last {
			raw = q.buf[:copy(q.buf, b)]
		}
		binary.BigEndian.PutUint16(raw[2:], numbers[n])
		if raw[1] &= 0x7f; part.Ends&bit != 0 {
			raw[1] |= 0x80
		}
		if !u.accept(q, raw, now) {
			continue
		}
		if last {
			q.buf = r.datagrams.Swap(i, q.buf)
		}
		r.hold(u, q, now)
	}
}

// withoutPadding is the payload of a packet.
func withoutPadding(b []byte, header int) []byte {
	end := len(b)
	if b[0]&0x20 != 0 && end > header {
		end -= int(b[end-1])
	}
	return b[header:max(header, end)]
}
