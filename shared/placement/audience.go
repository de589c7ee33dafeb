package placement

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Audience is one room with very many viewers, to be planned for.
type Audience struct {
	Profile    room.Profile
	Viewers    int
	Publishers int
	Offers     []Offer
	// Zones are how many the nodes are spread over in turn.
	Zones int
	// BlockSeats is how many seats a block has at most.
	BlockSeats int
	// Address is what a node costs an hour besides its type's price.
	Address price.Micros
}

// Hall is where an audience would be seated, and what that costs.
type Hall struct {
	Nodes map[string]int `json:"nodes"` // by type
	Pipes int            `json:"pipes"`
	// PipeKbps is what a pipe may carry at most, SeatKbps what a viewer may.
	PipeKbps int64   `json:"pipeKbps"`
	SeatKbps int64   `json:"seatKbps"`
	Levels   []Level `json:"levels"`
	// MostPipes is how many pipes the node has that has the most.
	MostPipes int `json:"mostPipes"`
	// DeathPeople is how many people are on the node that has the most, and
	// DeathFeeders how many nodes change their feeder in the worst death, after
	// which the tree is DeathDepth deep.
	DeathPeople  int `json:"deathPeople"`
	DeathFeeders int `json:"deathFeeders"`
	DeathDepth   int `json:"deathDepth"`
	// DirectoryBytes is what the room's directory takes in the table, in all its items.
	DirectoryBytes int `json:"directoryBytes"`
	// An hour of it: instances with their addresses, egress as the first of the
	// month, and pipes between zones.
	InstanceHour price.Micros `json:"instanceMicros"`
	EgressGB     float64      `json:"egressGB"`
	EgressHour   price.Micros `json:"egressMicros"`
	BetweenGB    float64      `json:"betweenZonesGB"`
	BetweenHour  price.Micros `json:"betweenZonesMicros"`
}

// Level is the nodes that are equally far from the root of the tree.
type Level struct {
	Depth  int `json:"depth"`
	Nodes  int `json:"nodes"`
	People int `json:"people"`
}

// hallNode is a node of a hall with those it takes.
type hallNode struct {
	offer         int
	pubs, viewers int
}

// Seat plans for an audience: the nodes by [Provide], the tree and what it leaves
// to seats by package room, the money by package price.
func Seat(a Audience) (Hall, error) {
	if err := a.Profile.Validate(); err != nil {
		return Hall{}, err
	}
	if a.Viewers < 0 || a.Publishers < 1 || a.Zones < 1 || a.BlockSeats < 1 || len(a.Offers) == 0 {
		return Hall{}, fmt.Errorf("%d viewers and %d publishers in %d zones on %d types of nodes cannot be planned", a.Viewers, a.Publishers, a.Zones, len(a.Offers))
	}
	var types []int
	for viewers := a.Viewers; ; {
		// What the last round's nodes turned out not to take.
		add := Provide(Shortage{Needs: a.needs(viewers, len(types) == 0), Offers: a.reduced(), Nodes: 1 << 30, Money: Unlimited})
		if add.Unserved > 0 {
			return Hall{}, fmt.Errorf("no type of node carries a seat of %d kbps", a.Profile.SeatLoad(room.Viewer).Kbps)
		}
		types = append(types, add.Launch...)
		slices.SortStableFunc(types, func(x, y int) int { return int(a.Offers[y].Capacity.Kbps - a.Offers[x].Capacity.Kbps) })
		r := a.grow(types)
		nodes, left := a.fill(r, types)
		if left == 0 {
			return a.hall(r, nodes, types)
		}
		viewers = left
	}
}

func (a Audience) needs(viewers int, stage bool) []Need {
	needs := []Need{{Seat: a.Profile.SeatLoad(room.Viewer), Seats: viewers, Rooms: 1}}
	if stage {
		needs = append(needs, Need{Seat: a.Profile.SeatLoad(room.Publisher), Seats: a.Publishers, Rooms: 1})
	}
	return needs
}

// kept is what a node of the room keeps for pipes, of which it has one.
func (a Audience) kept(capacity room.Load) room.Load {
	r := room.Room{Profile: a.Profile, Nodes: []room.NodeRef{{Node: "a"}, {Node: "b", Feeder: "a"}}}
	return r.PipeReserve("b", capacity).Plus(a.Profile.PipeLoad())
}

// reduced are the offers without what seats leave free for pipes.
func (a Audience) reduced() []Offer {
	out := slices.Clone(a.Offers)
	for i, o := range out {
		out[i].Capacity = o.Capacity.Minus(a.kept(o.Capacity))
	}
	return out
}

func hallID(i int) room.NodeID { return room.NodeID(fmt.Sprintf("n-%08d", i)) }

// grow joins the nodes to a tree, in the order in which a room reaches them.
func (a Audience) grow(types []int) room.Room {
	r := room.New("hall", "region", a.Profile, time.UnixMilli(0))
	for i := range types {
		r.Blocks = append(r.Blocks, room.BlockRef{Index: i, Node: hallID(i), Generation: 1})
	}
	return r.Settled(a.spare(room.Room{}, types), time.UnixMilli(1))
}

// spare is for how many further pipes a node keeps room, with those of r.
func (a Audience) spare(r room.Room, types []int) room.Spare {
	at := map[room.NodeID]int{}
	for i := range types {
		at[hallID(i)] = i
	}
	have := r.AllPipes()
	return func(id room.NodeID) int {
		return a.Profile.PipeLoad().Into(a.kept(a.Offers[types[at[id]]].Capacity)) - have[id]
	}
}

// fill seats the stage on the first nodes and the audience on all, and returns
// how many are left over.
func (a Audience) fill(r room.Room, types []int) ([]hallNode, int) {
	pubs, viewers := a.Publishers, a.Viewers
	pub, viewer, pipe := a.Profile.SeatLoad(room.Publisher), a.Profile.SeatLoad(room.Viewer), a.Profile.PipeLoad()
	have := r.AllPipes()
	var nodes []hallNode
	for i, typ := range types {
		c := a.Offers[typ].Capacity
		keep := a.kept(c)
		if taken := pipe.Times(have[hallID(i)]); !taken.Fits(keep) {
			keep = taken
		}
		free := c.Minus(keep)
		n := hallNode{offer: typ, pubs: min(pubs, pub.Into(free))}
		n.viewers = min(viewers, viewer.Into(free.Minus(pub.Times(n.pubs))))
		pubs, viewers = pubs-n.pubs, viewers-n.viewers
		nodes = append(nodes, n)
	}
	return nodes, pubs + viewers
}

func (a Audience) hall(r room.Room, nodes []hallNode, types []int) (Hall, error) {
	h := Hall{Nodes: map[string]int{}, PipeKbps: a.Profile.PipeLoad().Kbps, SeatKbps: a.Profile.SeatLoad(room.Viewer).Kbps}
	levels := map[int]Level{}
	zone, depths, far := map[room.NodeID]int{}, r.Depths(), 0
	for i, ref := range r.Nodes {
		zone[ref.Node] = i % a.Zones
	}
	for i, n := range nodes {
		ref := r.Nodes[i]
		if ref.Feeder != "" {
			h.Pipes++
			if zone[ref.Feeder] != zone[ref.Node] {
				far++
			}
		}
		d := depths[i]
		levels[d] = Level{Depth: d, Nodes: levels[d].Nodes + 1, People: levels[d].People + n.pubs + n.viewers}
		o := a.Offers[n.offer]
		h.Nodes[o.Type]++
		h.InstanceHour += o.Hour + a.Address
		h.DeathPeople = max(h.DeathPeople, n.pubs+n.viewers)
	}
	for _, d := range slices.Sorted(maps.Keys(levels)) {
		h.Levels = append(h.Levels, levels[d])
	}
	for _, n := range r.AllPipes() {
		h.MostPipes = max(h.MostPipes, n)
	}
	gb := func(kbps float64) float64 { return kbps * 3600 / 8 / 1e6 }
	people := float64(a.Viewers + a.Publishers)
	h.EgressGB = gb(people * float64(a.Profile.ReceiveKbps))
	h.EgressHour = price.Egress(h.EgressGB)
	h.BetweenGB = gb(float64(far) * float64(h.PipeKbps))
	h.BetweenHour = price.Micros(h.BetweenGB*float64(price.BetweenZonesGB)) * 2
	h.DeathFeeders, h.DeathDepth = a.deaths(r, types)
	var err error
	h.DirectoryBytes, err = a.directory(r, nodes)
	return h, err
}

// deaths lets nodes die, one at a time and each with all the others alive: the
// root and those near it, which feed the most. It returns the most nodes that
// changed their feeder, and how deep the deepest tree then was.
func (a Audience) deaths(r room.Room, types []int) (most, deepest int) {
	spare := a.spare(r, types)
	for i := range r.Nodes[:min(len(r.Nodes), 1+room.Fanout+room.Fanout*room.Fanout)] {
		after := r.WithoutBlock(r.Blocks[i].Index).Settled(spare, time.UnixMilli(2))
		most, deepest = max(most, after.Moved(r)), max(deepest, slices.Max(append(after.Depths(), 0)))
	}
	return most, deepest
}

// directory is the size of the room's item, with a block for each so many seats.
func (a Audience) directory(r room.Room, nodes []hallNode) (int, error) {
	r = r.Clone()
	r.Blocks = nil
	add := func(i, seats int, role room.Role) {
		for ; seats > 0; seats -= a.BlockSeats {
			r.Blocks = append(r.Blocks, room.BlockRef{Index: len(r.Blocks), Node: hallID(i), Generation: 1, Seats: min(seats, a.BlockSeats), Role: role, Full: true})
		}
	}
	for i, n := range nodes {
		add(i, n.pubs, room.Publisher)
		add(i, n.viewers, room.Viewer)
	}
	directory := r.Pack()
	r.Blocks, r.Nodes = nil, nil
	doc, err := json.Marshal(r)
	return len(directory) + len(doc), err
}
