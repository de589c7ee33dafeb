package layer

// DependencyURI names the header extension with the dependency descriptor (RTP
// Payload Format for AV1, appendix A).
const DependencyURI = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

// A descriptor has so many bytes.
const (
	MinDependency = 3
	MaxDependency = 255
)

// FrameNumber is a descriptor's number of the frame (appendix A.8.3).
func FrameNumber(ext []byte) uint16 { return uint16(ext[1])<<8 | uint16(ext[2]) }

// PutFrameNumber changes it.
func PutFrameNumber(ext []byte, number uint16) { ext[1], ext[2] = byte(number>>8), byte(number) }

const (
	maxTemplates = 64
	maxTargets   = 32
	// maxSpatial is how many spatial layers a descriptor can number.
	maxSpatial = 4
)

// Dependencies is what a dependency descriptor says once and later ones refer to:
// the templates of a coded video sequence. The zero value knows none.
type Dependencies struct {
	offset    uint8
	targets   int
	layers    int // spatial ones
	heights   [Count]int
	templates []template
	// best is the decode target of each spatial layer with all its pictures.
	best [maxSpatial]int
}

// template is what many frames have in common.
type template struct {
	spatial, temporal uint8
	present           uint32 // a bit for each decode target that the frame is part of
}

// Layers is how many spatial layers there are; 0 before any structure was read.
func (d *Dependencies) Layers() int { return d.layers }

// Height is that of spatial layer i in pixels, 0 if it was not told.
func (d *Dependencies) Height(i int) int { return d.heights[i] }

// Read reads a packet's descriptor, and the structure in it if there is one. It
// reports false, and leaves d as it was, when the descriptor is cut off, wrong, or
// refers to a template that is not known.
func (d *Dependencies) Read(ext []byte) (Part, bool) {
	const hasMore = 4 // flags beyond the one for a structure
	if len(ext) < MinDependency {
		return Part{}, false
	}
	b := bits{p: ext}
	_, end := b.flag(), b.flag()
	id := uint8(b.take(6))
	b.take(16) // the frame's number
	now, fresh, custom := d, Dependencies{}, false
	if len(ext) > MinDependency {
		flags := b.take(1 + hasMore)
		if flags&0x10 != 0 {
			if !fresh.read(&b) {
				return Part{}, false
			}
			now = &fresh
		}
		if flags&0x08 != 0 {
			b.take(now.targets) // those that are sent now
		}
		custom = flags&0x04 != 0
	}
	i := int(id+64-now.offset) % 64
	if b.short || i >= len(now.templates) {
		return Part{}, false
	}
	t := now.templates[i]
	if custom {
		t.present = b.indications(now.targets)
	}
	if b.short {
		return Part{}, false
	}
	*d = *now
	return d.part(t, end), true
}

// part tells which layers a frame of a template belongs to.
func (d *Dependencies) part(t template, end bool) (p Part) {
	for i := range min(d.layers, Count) {
		if t.present&(1<<d.best[i]) != 0 {
			p.Layers |= 1 << i
		}
	}
	if end && t.spatial < Count {
		p.Ends = p.Layers & (1 << t.spatial)
	}
	return p
}

// read reads a template dependency structure (appendix A.8.2).
func (d *Dependencies) read(b *bits) bool {
	d.offset = uint8(b.take(6))
	d.targets = int(b.take(5)) + 1
	if !d.readTemplates(b) {
		return false
	}
	for i := range d.templates {
		d.templates[i].present = b.indications(d.targets)
	}
	for range d.templates {
		for b.flag() && !b.short {
			b.take(4)
		}
	}
	if chains := b.nonSymmetric(d.targets + 1); chains > 0 {
		for range d.targets {
			b.nonSymmetric(chains)
		}
		b.take(4 * chains * len(d.templates))
	}
	if b.flag() {
		for i := range d.layers {
			b.take(16)
			if height := int(b.take(16)) + 1; i < Count {
				d.heights[i] = height
			}
		}
	}
	d.findBest()
	return !b.short
}

// readTemplates reads which layers the templates are of, in the order that the
// format prescribes.
func (d *Dependencies) readTemplates(b *bits) bool {
	const (
		same = iota
		nextTemporal
		nextSpatial
		none
	)
	var t template
	for {
		if len(d.templates) == maxTemplates || t.spatial >= maxSpatial || b.short {
			return false
		}
		d.templates = append(d.templates, t)
		switch b.take(2) {
		case nextTemporal:
			t.temporal++
		case nextSpatial:
			t.spatial++
			t.temporal = 0
		case none:
			d.layers = int(t.spatial) + 1
			return !b.short
		}
	}
}

// findBest finds each spatial layer's decode target: of those that show it, the one
// with the most of its pictures.
func (d *Dependencies) findBest() {
	most := [maxSpatial]int{-1, -1, -1, -1}
	for target := range d.targets {
		spatial, temporal := uint8(0), uint8(0)
		for _, t := range d.templates {
			if t.present&(1<<target) != 0 {
				spatial, temporal = max(spatial, t.spatial), max(temporal, t.temporal)
			}
		}
		if int(temporal) > most[spatial] {
			most[spatial], d.best[spatial] = int(temporal), target
		}
	}
}

// bits reads numbers of some bits each, the most significant first. Beyond the end
// it reads zeros and notes that it was short.
type bits struct {
	p     []byte
	at    int
	short bool
}

func (b *bits) take(n int) (v uint32) {
	if b.at+n > 8*len(b.p) {
		b.short, b.at = true, 8*len(b.p)
		return 0
	}
	for ; n > 0; n-- {
		v = v<<1 | uint32(b.p[b.at/8]>>(7-b.at%8)&1)
		b.at++
	}
	return v
}

func (b *bits) flag() bool { return b.take(1) != 0 }

// nonSymmetric reads a number below n (appendix A.8.1).
func (b *bits) nonSymmetric(n int) int {
	w := 0
	for x := n; x != 0; x >>= 1 {
		w++
	}
	m := 1<<w - n
	v := int(b.take(w - 1))
	if v < m {
		return v
	}
	return v<<1 - m + int(b.take(1))
}

// indications reads what a frame is to each decode target, and returns those that
// it is anything to.
func (b *bits) indications(targets int) (present uint32) {
	for i := range targets {
		if b.take(2) != 0 {
			present |= 1 << i
		}
	}
	return present
}
