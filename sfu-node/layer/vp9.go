package layer

// spatialVP9 is how many spatial layers there can be at most (RFC 9628, section
// 4.2.1 leaves room for 8; encoders make no more than 5).
const spatialVP9 = 5

// ParseVP9 reads the descriptor of one packet (RFC 9628, section 4.2). It
// reports false when the payload is too short to be VP9; what it returns then
// must not be used.
//
// Key says that the packet begins a frame of the lowest spatial layer that is
// not predicted from earlier pictures.
func ParseVP9(p []byte) (Descriptor, bool) {
	var d Descriptor
	if len(p) < 2 {
		return d, false
	}
	const (
		hasPicture = 0x80 // I
		predicted  = 0x40 // P
		hasLayer   = 0x20 // L
		flexible   = 0x10 // F
		begin      = 0x08 // B
		end        = 0x04 // E
		structure  = 0x02 // V
		unneeded   = 0x01 // Z
		long       = 0x80 // M
	)
	flags, at := p[0], 1
	if flags&hasPicture != 0 {
		d.pictureAt = at
		d.PictureID = uint16(p[at] & 0x7f)
		if d.Long = p[at]&long != 0; d.Long {
			if len(p) <= at+1 {
				return d, false
			}
			d.PictureID = d.PictureID<<8 | uint16(p[at+1])
			at++
		}
		at++
	}
	var ok bool
	if flags&hasLayer != 0 {
		if at, ok = d.layersVP9(p, at, flags&flexible == 0); !ok {
			return d, false
		}
	}
	if flags&flexible != 0 && flags&predicted != 0 {
		if at, ok = referencesVP9(p, at); !ok {
			return d, false
		}
	}
	d.Start = flags&begin != 0
	d.End = flags&end != 0
	d.Predicted = flags&predicted != 0
	d.Unreferenced = flags&unneeded != 0
	d.Key = d.Start && !d.Predicted && d.Spatial == 0
	if flags&structure != 0 {
		d.structureAt = at
		if _, d.Height, at, ok = structureVP9(p, at, nil); !ok {
			return d, false
		}
	}
	return d, len(p) > at
}

// layersVP9 reads the layer indices at at, with TL0PICIDX if indexed, and returns
// where they end.
func (d *Descriptor) layersVP9(p []byte, at int, indexed bool) (end int, ok bool) {
	if len(p) <= at {
		return at, false
	}
	if d.Spatial = p[at] >> 1 & 0x07; d.Spatial >= spatialVP9 {
		return at, false
	}
	at++
	if !indexed {
		return at, true
	}
	if len(p) <= at {
		return at, false
	}
	d.tl0At = at
	d.TL0 = p[at]
	return at + 1, true
}

// referencesVP9 returns where the list of references at at ends: at most three,
// each of which says whether another follows.
func referencesVP9(p []byte, at int) (end int, ok bool) {
	const most, another = 3, 0x01 // N
	for i := 0; i < most && at < len(p); i++ {
		at++
		if p[at-1]&another == 0 {
			return at, true
		}
	}
	return at, false
}

// structureVP9 reads the scalability structure at at: how many spatial layers there
// are, the height of the largest, 0 where it is not told, and where the structure
// ends. It puts the heights of all into heights, if that is not nil.
func structureVP9(p []byte, at int, heights *[Count]int) (layers, height, end int, ok bool) {
	const (
		hasSizes = 0x10 // Y
		hasGroup = 0x08 // G
	)
	if len(p) <= at {
		return 0, 0, at, false
	}
	flags := p[at]
	at++
	layers = int(flags>>5) + 1
	if flags&hasSizes != 0 {
		if len(p) < at+4*layers {
			return 0, 0, at, false
		}
		for i := range layers {
			at += 4
			height = int(p[at-2])<<8 | int(p[at-1])
			if heights != nil && i < Count {
				heights[i] = height
			}
		}
	}
	if flags&hasGroup != 0 {
		if len(p) <= at {
			return 0, 0, at, false
		}
		pictures := int(p[at])
		at++
		for range pictures {
			if len(p) <= at {
				return 0, 0, at, false
			}
			at += 1 + int(p[at]>>2&0x03) // R references follow
		}
	}
	return layers, height, at, true
}
