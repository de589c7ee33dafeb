package layer

// ParseVP8 reads the descriptor of one packet. It reports false when the
// payload is too short to be VP8; what it returns then must not be used.
func ParseVP8(p []byte) (Descriptor, bool) {
	var d Descriptor
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
