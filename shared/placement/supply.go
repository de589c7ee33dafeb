package placement

import (
	"cmp"
	"slices"

	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Need is what rooms of one size want: Rooms rooms with Seats seats each.
type Need struct {
	Seat  room.Load `json:"seat"`
	Seats int       `json:"seats"`
	Rooms int       `json:"rooms"`
	// Apart is what is kept free on each node, for pipes, where the room is divided.
	Apart room.Load `json:"apart,omitzero"`
}

// Offer is a type of node that may be launched.
type Offer struct {
	Type     string       `json:"type"`
	Capacity room.Load    `json:"capacity"`
	Hour     price.Micros `json:"hour"`
}

// Shortage asks which nodes to launch for needs.
type Shortage struct {
	Needs []Need `json:"needs"`
	// Bins are what the needs may use without a launch: what is being launched
	// already, and what is free on nodes.
	Bins   []room.Load `json:"bins,omitempty"`
	Offers []Offer     `json:"offers"`
	// Nodes and Money bound what may be launched.
	Nodes int          `json:"nodes"`
	Money price.Micros `json:"money"` // per hour
}

// Limit says what kept a [Supply] from being larger.
type Limit string

// The limits.
const (
	NoLimit    Limit = ""
	NodeLimit  Limit = "nodes"   // the most nodes that may run
	MoneyLimit Limit = "money"   // the most that may be spent an hour
	TypeLimit  Limit = "offered" // no type that may be launched carries one of the seats
)

// Supply answers a [Shortage].
type Supply struct {
	// Launch are indexes of offers, one for each node.
	Launch []int        `json:"launch,omitempty"`
	Hour   price.Micros `json:"hour,omitempty"`
	// Unserved is how many seats nothing is left for, and Limit why.
	Unserved int   `json:"unserved,omitempty"`
	Limit    Limit `json:"limit,omitempty"`
}

// Provide chooses nodes to launch so that all needs are served: no more than
// are needed, and of the sets that it looks at the cheapest, with fewer nodes
// where two cost the same. Rooms are kept whole where they fit on a node and
// divided where they do not.
//
// It packs first fit, largest first, which wastes at most a fifth against the
// best packing (Johnson 1973: 11/9 OPT + 4), and compares sets of a single type
// and sets that fill up with the type that suits the rest.
func Provide(s Shortage) Supply {
	rest := pack(pieces(s.Needs), slices.Clone(s.Bins), s.whole())
	if len(rest) == 0 {
		return Supply{}
	}
	var best *Supply
	for _, set := range s.sets(rest) {
		cost := s.cost(set)
		if best == nil || cost < best.Hour || cost == best.Hour && len(set) < len(best.Launch) {
			best = &Supply{Launch: set, Hour: cost}
		}
	}
	if best == nil {
		return Supply{Unserved: seatsIn(rest), Limit: TypeLimit}
	}
	if len(best.Launch) > s.Nodes || best.Hour > s.Money {
		return s.limited(rest, len(best.Launch) > s.Nodes)
	}
	return *best
}

// Fit reports whether needs fit into bins: rooms whole, as far as a node of an
// offered type carries them whole.
func Fit(needs []Need, bins []room.Load, offers []Offer) bool {
	return len(pack(pieces(needs), slices.Clone(bins), Shortage{Offers: offers}.whole())) == 0
}

// Missing returns how many nodes of the one given capacity the needs ask for on
// top of those that are coming.
func Missing(needs []Need, coming []room.Load, capacity room.Load) int {
	const plenty = 1 << 30
	return len(Provide(Shortage{Needs: needs, Bins: coming, Offers: []Offer{{Capacity: capacity}}, Nodes: plenty, Money: plenty}).Launch)
}

// piece is a room's waiting seats, or what is left of them.
type piece struct {
	seat  room.Load
	seats int
	apart room.Load
}

// within is how many of the piece's seats a part of it has on a node with so much
// free, where at most a quarter is kept for pipes.
func (p piece) within(free room.Load) int {
	return p.seat.Into(free.Minus(room.Load{Kbps: min(p.apart.Kbps, free.Kbps/4), PPS: min(p.apart.PPS, free.PPS/4)}))
}

func (p piece) load() room.Load { return p.seat.Times(p.seats) }

func pieces(needs []Need) []piece {
	var out []piece
	for _, n := range needs {
		for range n.Rooms {
			if n.Seats > 0 {
				out = append(out, piece{n.Seat, n.Seats, n.Apart})
			}
		}
	}
	return out
}

func seatsIn(ps []piece) int {
	n := 0
	for _, p := range ps {
		n += p.seats
	}
	return n
}

// pack puts pieces into bins, which it uses up, and returns what does not fit. A
// piece that no node carries whole is divided over the bins that take the most
// of it.
func pack(ps []piece, bins []room.Load, whole func(piece) bool) []piece {
	slices.SortStableFunc(ps, func(a, b piece) int {
		return cmp.Or(cmp.Compare(b.load().Kbps, a.load().Kbps), cmp.Compare(b.load().PPS, a.load().PPS))
	})
	var rest []piece
	for _, p := range ps {
		for p.seats > 0 {
			n := p.seats
			i := slices.IndexFunc(bins, p.load().Fits)
			if i < 0 && !whole(p) {
				if i = roomiest(bins, p); i >= 0 {
					n = min(p.within(bins[i]), p.seats)
				}
			}
			if i < 0 {
				rest = append(rest, p)
				break
			}
			bins[i] = bins[i].Minus(p.seat.Times(n))
			p.seats -= n
		}
	}
	return rest
}

// roomiest returns the bin that takes the most of such seats, -1 if none takes
// one.
func roomiest(bins []room.Load, p piece) int {
	at, most := -1, 0
	for i, b := range bins {
		if n := p.within(b); n > most {
			at, most = i, n
		}
	}
	return at
}

// whole reports whether a node of some offered type carries a piece.
func (s Shortage) whole() func(piece) bool {
	return func(p piece) bool {
		return slices.ContainsFunc(s.Offers, func(o Offer) bool { return p.load().Fits(o.Capacity) })
	}
}

func (s Shortage) bins(set []int) []room.Load {
	var bins []room.Load
	for _, i := range set {
		bins = append(bins, s.Offers[i].Capacity)
	}
	return bins
}

func (s Shortage) cost(set []int) price.Micros {
	var sum price.Micros
	for _, i := range set {
		sum += s.Offers[i].Hour
	}
	return sum
}

// sets returns sets of nodes that carry all pieces: for each type one of it
// alone, and one that is filled up with the cheapest type for what is left when
// the last node would not be full.
func (s Shortage) sets(ps []piece) [][]int {
	var out [][]int
	for i := range s.Offers {
		set, ok := s.fill(slices.Clone(ps), i)
		if !ok {
			continue
		}
		out = append(out, set)
		for keep := len(set) - 1; keep >= 0 && keep >= len(set)-3; keep-- {
			left := pack(slices.Clone(ps), s.bins(set[:keep]), s.whole())
			if tail := s.cheapest(left); tail != nil {
				out = append(out, append(slices.Clone(set[:keep]), tail...))
			}
		}
	}
	return out
}

// fill opens nodes of one type until everything is packed; it reports false when
// a piece does not fit such a node and may not be divided.
func (s Shortage) fill(ps []piece, offer int) ([]int, bool) {
	var set []int
	for left := ps; len(left) > 0; {
		var sum room.Load
		for _, p := range left {
			sum = sum.Plus(p.load())
		}
		// As many as the sum asks for at least, so that rounds are few.
		n := 1
		for !sum.Fits(s.Offers[offer].Capacity.Times(n)) && n < seatsIn(left) {
			n++
		}
		bins := s.bins(slices.Repeat([]int{offer}, n))
		before := seatsIn(left)
		if left = pack(left, bins, s.whole()); seatsIn(left) == before {
			return nil, false
		}
		for _, b := range bins {
			if b != s.Offers[offer].Capacity {
				set = append(set, offer)
			}
		}
	}
	return set, true
}

// cheapest returns the cheapest set of one type for pieces, nil where there is
// none or nothing to carry.
func (s Shortage) cheapest(ps []piece) []int {
	var best []int
	for i := range s.Offers {
		set, ok := s.fill(slices.Clone(ps), i)
		if ok && len(set) > 0 && (best == nil || s.cost(set) < s.cost(best) || s.cost(set) == s.cost(best) && len(set) < len(best)) {
			best = set
		}
	}
	return best
}

// limited chooses when not all can be launched: nodes that carry the most each
// where their number is the limit, and the most for the money where that is,
// as long as what is left needs them.
func (s Shortage) limited(ps []piece, byNodes bool) Supply {
	order := make([]int, len(s.Offers))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := s.Offers[a], s.Offers[b]
		if byNodes {
			return cmp.Or(cmp.Compare(y.Capacity.Kbps, x.Capacity.Kbps), cmp.Compare(x.Hour, y.Hour))
		}
		return cmp.Or(cmp.Compare(int64(x.Hour)*y.Capacity.Kbps, int64(y.Hour)*x.Capacity.Kbps), cmp.Compare(y.Capacity.Kbps, x.Capacity.Kbps))
	})
	out := Supply{Limit: MoneyLimit}
	left := slices.Clone(ps)
	// Rooms that a launched node cannot carry whole are divided: better so than
	// not served.
	divide := func(piece) bool { return false }
	for len(left) > 0 {
		if len(out.Launch) >= s.Nodes {
			out.Limit = NodeLimit
			break
		}
		before := seatsIn(left)
		i := slices.IndexFunc(order, func(i int) bool {
			return out.Hour+s.Offers[i].Hour <= s.Money && roomiest([]room.Load{s.Offers[i].Capacity}, left[0]) >= 0
		})
		if i < 0 {
			break
		}
		out.Launch, out.Hour = append(out.Launch, order[i]), out.Hour+s.Offers[order[i]].Hour
		if left = pack(left, s.bins([]int{order[i]}), divide); seatsIn(left) == before {
			break
		}
	}
	out.Unserved = seatsIn(left)
	return out
}
