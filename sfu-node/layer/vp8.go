package layer

// VP8 is the part of a VP8 payload descriptor (RFC 7741, section 4.2) that a
// forwarder reads and rewrites. The positions are offsets into the payload; 0
// means that the field is absent, as the first byte is never one of them.
type VP8 struct {
	// Start says that the packet begins the first partition of a frame.
	Start bool
	// Key says that the packet begins a key frame.
	Key bool

	PictureID uint16
	// Long picture ids have 15 bits, others 7.
	Long bool
	TL0  uint8

	// Height is the picture's in pixels, known for key frames only; 0 else.
	Height int

	pictureAt int
	tl0At     int
}

// HasPictureID reports whether the descriptor carries a picture id.
func (d *VP8) HasPictureID() bool { return d.pictureAt != 0 }

// HasTL0 reports whether the descriptor carries TL0PICIDX.
func (d *VP8) HasTL0() bool { return d.tl0At != 0 }

// ParseVP8 reads the descriptor of one packet. It reports false when the
// payload is too short to be VP8; what it returns then must not be used.
func ParseVP8(p []byte) (VP8, bool) {
	var d VP8
	if len(p) < 2 {
		return d, false
	}
	const (
		extended   = 0x80 // X
		start      = 0x10 // S
		partition  = 0x07 // PID
		hasPicture = 0x80 // I
		hasTL0     = 0x40 // L
		hasTID     = 0x20 // T
		hasKey     = 0x10 // K
		long       = 0x80 // M
	)
	d.Start = p[0]&start != 0 && p[0]&partition == 0
	at := 1
	if p[0]&extended != 0 {
		flags := p[1]
		at = 2
		if flags&hasPicture != 0 {
			if len(p) <= at+1 {
				return d, false
			}
			d.pictureAt = at
			d.PictureID = uint16(p[at] & 0x7f)
			if d.Long = p[at]&long != 0; d.Long {
				d.PictureID = d.PictureID<<8 | uint16(p[at+1])
				at++
			}
			at++
		}
		if flags&hasTL0 != 0 {
			if len(p) <= at {
				return d, false
			}
			d.tl0At = at
			d.TL0 = p[at]
			at++
		}
		if flags&(hasTID|hasKey) != 0 {
			at++
		}
	}
	if len(p) <= at {
		return d, false
	}
	// The frame header, RFC 6386, section 9.1: an inverse key frame flag among 3
	// bytes, then for key frames a start code of 3, width and height.
	const heightAt = 8
	d.Key = d.Start && p[at]&1 == 0
	if frame := p[at:]; d.Key && len(frame) >= heightAt+2 {
		d.Height = (int(frame[heightAt]) | int(frame[heightAt+1])<<8) & 0x3fff
	}
	return d, true
}

// Write puts a picture id and TL0PICIDX where d found them in the payload. It
// leaves the length of the descriptor as it is: a 7-bit picture id keeps 7
// bits. It touches no byte outside the descriptor.
func (d *VP8) Write(p []byte, pictureID uint16, tl0 uint8) {
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
