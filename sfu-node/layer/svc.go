package layer

// A scalable stream carries several spatial layers under one SSRC. For whoever
// forwards it is taken apart into as many streams as simulcast would send: each is
// what a receiver of that layer needs, numbered without gaps. In a stream whose
// layers need each other in key frames only (L3T3_KEY), that is the layer's own
// frames and, at key frames, those of the layers below.

// Part says what a packet of a scalable stream belongs to, by a bit for each layer.
type Part struct {
	// Layers are those whose receivers need the packet.
	Layers uint8
	// Ends are those of which it ends a picture.
	Ends uint8
}

// StructuredVP9 reports whether a VP9 packet may say which spatial layers there are.
func StructuredVP9(p []byte) bool {
	const structure = 0x02 // V
	return len(p) > 0 && p[0]&structure != 0
}

// Scalability returns how many spatial layers a VP9 key frame says that there are,
// and their heights in pixels, 0 where they are not told. It returns 0 where the
// packet p, which d was read from, says nothing of it.
func (d *Descriptor) Scalability(p []byte) (layers int, heights [Count]int) {
	if d.structureAt == 0 {
		return 0, heights
	}
	layers, _, _, ok := structureVP9(p, d.structureAt, &heights)
	if !ok {
		return 0, [Count]int{}
	}
	return layers, heights
}

// Part tells which of a VP9 stream's spatial layers a packet belongs to. Pictures
// that are not predicted are needed by all layers above, others only if they say so.
func (d *Descriptor) Part(layers int) (p Part) {
	for i := int(d.Spatial); i < min(layers, Count); i++ {
		if i == int(d.Spatial) || !d.Predicted || !d.Unreferenced {
			p.Layers |= 1 << i
		}
	}
	if d.End && d.Spatial < Count {
		p.Ends = p.Layers & (1 << d.Spatial)
	}
	return p
}

// splitMemory is how many packets a splitter remembers, so that one that comes late
// gets the number which was kept for it.
const splitMemory = 512

// Splitter numbers the packets of a scalable stream anew for each of its layers. A
// packet that is missing keeps its number in all layers, as nobody knows which it
// belongs to. The zero value is ready.
type Splitter struct {
	highest int64         // of the packets so far, extended beyond 16 bits; 0 is none
	left    [Count]uint16 // how many packets each layer has left out
	slots   [splitMemory]splitSlot
}

// splitSlot is what had been left out before a packet.
type splitSlot struct {
	sequence int64
	left     [Count]uint16
}

// Number returns a packet's number in each layer; only those of the layers that it
// belongs to count. It reports false for a packet that is too late to have any.
func (s *Splitter) Number(sequence uint16, layers uint8) (numbers [Count]uint16, ok bool) {
	if s.highest == 0 {
		s.highest = 1<<16 + int64(sequence) - 1
	}
	n := s.highest + int64(int16(sequence-uint16(s.highest)))
	slot := &s.slots[n%splitMemory]
	if n > s.highest {
		for missing := max(s.highest+1, n-splitMemory+1); missing < n; missing++ {
			s.slots[missing%splitMemory] = splitSlot{missing, s.left}
		}
		*slot = splitSlot{n, s.left}
		s.highest = n
		for i := range Count {
			if layers&(1<<i) == 0 {
				s.left[i]++
			}
		}
	}
	if slot.sequence != n {
		return numbers, false
	}
	for i := range Count {
		numbers[i] = sequence - slot.left[i]
	}
	return numbers, true
}
