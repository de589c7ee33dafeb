package layer

// Descriptor is the part of a VP8 or VP9 payload descriptor (RFC 7741 and RFC
// 9628, each section 4.2) that a forwarder reads and rewrites. The positions are
// offsets into the payload; 0 means that the field is absent, as the first byte
// is never one of them.
type Descriptor struct {
	// Start says that the packet begins a frame.
	Start bool
	// Key says that the packet begins a key frame.
	Key bool

	PictureID uint16
	// Long picture ids have 15 bits, others 7.
	Long bool
	TL0  uint8

	// Height is the picture's in pixels, known for key frames only; 0 else.
	Height int

	// Spatial is the spatial layer, 0 the smallest. This and what follows is VP9's
	// alone.
	Spatial uint8
	// Predicted says that the picture needs an earlier one.
	Predicted bool
	// Unreferenced says that no larger spatial layer of the picture needs this one.
	Unreferenced bool
	// End says that the packet ends its spatial layer's frame.
	End bool

	pictureAt   int
	tl0At       int
	structureAt int
}

// HasPictureID reports whether the descriptor carries a picture id.
func (d *Descriptor) HasPictureID() bool { return d.pictureAt != 0 }

// HasTL0 reports whether the descriptor carries TL0PICIDX.
func (d *Descriptor) HasTL0() bool { return d.tl0At != 0 }

// Write puts a picture id and TL0PICIDX where d found them in the payload. It
// leaves the length of the descriptor as it is: a 7-bit picture id keeps 7
// bits. It touches no byte outside the descriptor.
func (d *Descriptor) Write(p []byte, pictureID uint16, tl0 uint8) {
	if at := d.pictureAt; at != 0 {
		if d.Long {
			p[at] = 0x80 | byte(pictureID>>8)
			p[at+1] = byte(pictureID)
		} else {
			p[at] = byte(pictureID & 0x7f)
		}
	}
	if d.tl0At != 0 {
		p[d.tl0At] = tl0
	}
}
