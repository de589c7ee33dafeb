package room

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A room's directory is stored packed: a few bytes for a block and about twenty
// for a node. It is numbers in the encoding of [binary.AppendUvarint], one after
// the other: the format; the names of nodes that occur, each as what it shares
// with the one before and the rest; nodes, blocks and sections, each list with
// its length first, names by their place. What grows is stored as the difference
// to the entry before.

const packFormat = 1

// A block's and a section's last number has these bits; the role of a block is
// what is above them, by its place in packedRoles.
const (
	packedFull = 1 << iota
	packedBits = iota
)

// packedRoles are the roles that a block may have; any other is a publisher's.
var packedRoles = []Role{"", Publisher, Viewer}

// Pack returns the room's directory in bytes: its nodes, blocks and sections.
func (r Room) Pack() []byte {
	p := packer{places: map[NodeID]uint64{}}
	for _, n := range r.Nodes {
		p.place(n.Node)
	}
	for _, n := range r.Nodes {
		if n.Feeder != "" {
			p.place(n.Feeder)
		}
	}
	for _, b := range r.Blocks {
		p.place(b.Node)
	}
	p.out = binary.AppendUvarint(nil, packFormat)
	p.names()
	p.nodes(r.Nodes)
	p.blocks(r.Blocks)
	p.number(uint64(len(r.Sections)))
	last := 0
	for _, s := range r.Sections {
		p.difference(int64(s.Index), int64(last))
		last = s.Index
		p.number(flag(s.Full))
	}
	return p.out
}

type packer struct {
	out    []byte
	order  []NodeID
	places map[NodeID]uint64
}

// place notes a node's name where it is new.
func (p *packer) place(id NodeID) {
	if _, known := p.places[id]; !known {
		p.places[id] = uint64(len(p.order))
		p.order = append(p.order, id)
	}
}

func (p *packer) number(n uint64) { p.out = binary.AppendUvarint(p.out, n) }

func (p *packer) difference(n, last int64) { p.out = binary.AppendVarint(p.out, n-last) }

func (p *packer) names() {
	p.number(uint64(len(p.order)))
	last := NodeID("")
	for _, id := range p.order {
		same := 0
		for same < min(len(id), len(last)) && id[same] == last[same] {
			same++
		}
		p.number(uint64(same))
		p.number(uint64(len(id) - same))
		p.out = append(p.out, id[same:]...)
		last = id
	}
}

func (p *packer) nodes(nodes []NodeRef) {
	p.number(uint64(len(nodes)))
	since := int64(0)
	for _, n := range nodes {
		p.number(p.places[n.Node])
		p.number(uint64(n.Generation))
		feeder := uint64(0)
		if n.Feeder != "" {
			feeder = p.places[n.Feeder] + 1
		}
		p.number(feeder)
		p.difference(n.Since, since)
		since = n.Since
		p.number(uint64(n.Section))
	}
}

func (p *packer) blocks(blocks []BlockRef) {
	p.number(uint64(len(blocks)))
	index := 0
	for _, b := range blocks {
		p.difference(int64(b.Index), int64(index))
		index = b.Index
		p.number(p.places[b.Node])
		p.number(uint64(b.Generation))
		p.number(uint64(b.Seats))
		role := 1
		for i, r := range packedRoles {
			if r == b.Role {
				role = i
			}
		}
		p.number(uint64(role)<<packedBits | flag(b.Full))
	}
}

func flag(full bool) uint64 {
	if full {
		return packedFull
	}
	return 0
}

// errPacked says that bytes are not what [Room.Pack] returns.
var errPacked = errors.New("not a packed directory")

// Unpacked returns the room with the directory that was packed.
func (r Room) Unpacked(data []byte) (Room, error) {
	u := unpacker{left: data}
	if format := u.number(); u.failed == nil && format != packFormat {
		return r, fmt.Errorf("directory of %s: format %d is not known", r.Name, format)
	}
	u.names()
	r.Nodes = u.nodes()
	r.Blocks = u.blocks()
	r.Sections = nil
	last := int64(0)
	for range u.length() {
		last = u.difference(last)
		r.Sections = append(r.Sections, SectionRef{Index: int(last), Full: u.number()&packedFull != 0})
	}
	if u.failed != nil || len(u.left) > 0 {
		return r, fmt.Errorf("directory of %s: %w", r.Name, errPacked)
	}
	return r, nil
}

// unpacker reads what a packer wrote. After a failure it reads zeros.
type unpacker struct {
	left   []byte
	order  []NodeID
	failed error
}

func (u *unpacker) number() uint64 {
	n, size := binary.Uvarint(u.left)
	return read(u, n, size)
}

func (u *unpacker) difference(last int64) int64 {
	n, size := binary.Varint(u.left)
	return last + read(u, n, size)
}

func read[T uint64 | int64](u *unpacker, n T, size int) T {
	if u.failed != nil || size <= 0 {
		u.failed = errPacked
		return 0
	}
	u.left = u.left[size:]
	return n
}

// length is how many entries follow; each takes a byte at least.
func (u *unpacker) length() int {
	n := u.number()
	if n > uint64(len(u.left)) {
		u.failed = errPacked
		return 0
	}
	return int(n)
}

func (u *unpacker) names() {
	last := NodeID("")
	for range u.length() {
		same, more := u.number(), u.number()
		if same > uint64(len(last)) || more > uint64(len(u.left)) {
			u.failed = errPacked
			return
		}
		last = last[:same] + NodeID(u.left[:more])
		u.left = u.left[more:]
		u.order = append(u.order, last)
	}
}

func (u *unpacker) name(place uint64) NodeID {
	if place >= uint64(len(u.order)) {
		u.failed = errPacked
		return ""
	}
	return u.order[place]
}

func (u *unpacker) nodes() []NodeRef {
	var out []NodeRef
	since := int64(0)
	for range u.length() {
		n := NodeRef{Node: u.name(u.number()), Generation: Generation(u.number())}
		if feeder := u.number(); feeder > 0 {
			n.Feeder = u.name(feeder - 1)
		}
		since = u.difference(since)
		n.Since, n.Section = since, int(u.number())
		out = append(out, n)
	}
	return out
}

func (u *unpacker) blocks() []BlockRef {
	var out []BlockRef
	index := int64(0)
	for range u.length() {
		index = u.difference(index)
		b := BlockRef{Index: int(index), Node: u.name(u.number()), Generation: Generation(u.number()), Seats: int(u.number())}
		bits := u.number()
		b.Full = bits&packedFull != 0
		if role := bits >> packedBits; role < uint64(len(packedRoles)) {
			b.Role = packedRoles[role]
		} else {
			u.failed = errPacked
		}
		out = append(out, b)
	}
	return out
}
