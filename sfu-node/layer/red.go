package layer

// maxBlocks bounds the blocks of a redundant audio packet; browsers send two or
// three.
const maxBlocks = 8

// RED is the structure of a packet of redundant audio (RFC 2198, section 3):
// earlier frames repeated before the present one, the primary.
type RED struct {
	headers [maxBlocks]int // where each block's header begins
	blocks  int
	primary int // where the primary's data begins
}

// ParseRED reads the block headers of a payload. It reports false when they do
// not fit it, or are too many.
func ParseRED(p []byte) (RED, bool) {
	const (
		more       = 0x80
		longHeader = 4
	)
	var r RED
	at, data := 0, 0
	for {
		if at >= len(p) || r.blocks == maxBlocks {
			return r, false
		}
		r.headers[r.blocks] = at
		r.blocks++
		if p[at]&more == 0 {
			r.primary = at + 1 + data
			return r, r.primary <= len(p)
		}
		if at+longHeader > len(p) {
			return r, false
		}
		data += int(p[at+2]&0x03)<<8 | int(p[at+3])
		at += longHeader
	}
}

// Primary returns the present frame: the payload without redundancy.
func (r *RED) Primary(p []byte) []byte { return p[r.primary:] }

// Write sets the payload type of every block.
func (r *RED) Write(p []byte, payloadType uint8) {
	for _, at := range r.headers[:r.blocks] {
		p[at] = p[at]&0x80 | payloadType&0x7f
	}
}
