package control

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Fence refuses a message of a node that the table does not know, of an earlier
// life, or of a node that was given up.
func Fence(v fleet.View, generation room.Generation) error {
	switch {
	case v.Node.ID == "":
		return events.Errorf(events.CodeFenced, "no such node")
	case generation != v.Node.Generation:
		return events.Errorf(events.CodeFenced, "generation %d is over, the present one is %d", generation, v.Node.Generation)
	case !v.Node.State.Living():
		return events.Errorf(events.CodeFenced, "the node is %s", v.Node.State)
	}
	return nil
}

// Landing is what a hello is decided from.
type Landing struct {
	// Node is nil before the first hello.
	Node *fleet.Node
	// Launch is nil when the launch was given up, or landed long ago.
	Launch *fleet.Launch
	// Boots are the times that launches took before.
	Boots fleet.Boots
}

// Hello begins a generation of a node, or adds a socket to the present one. A
// hello competes with the expiry of its launch on the launch's state; one that
// comes too late is told to shut down.
func Hello(s Landing, connection string, m events.Hello, now time.Time) Plan {
	id := room.NodeID(m.Node)
	welcome := func(g room.Generation) Send {
		return Send{To: []string{connection}, Message: events.Welcome{Header: events.Head(events.ActionWelcome), Node: m.Node,
			Boot: m.Boot, Slot: m.Slot, Generation: int64(g), HeartbeatMs: fleet.HeartbeatEvery.Milliseconds(),
			LeaseMs: fleet.LeaseLasts.Milliseconds()}}
	}
	refuse := func(code events.Code, why string) Plan {
		return Plan{
			Sends: []Send{{To: []string{connection}, Message: events.Shutdown{Header: events.Head(events.ActionShutdown), Code: code}}},
			Decision: Decision{Choice: "shut down", Why: why, Inputs: map[string]any{
				"node": id, "boot": m.Boot}},
		}
	}
	switch {
	case s.Node == nil && (s.Launch == nil || s.Launch.State == fleet.Landed):
		return refuse(events.CodeLaunchExpired, "the launch was given up before this hello")
	case s.Node == nil:
		return land(s, connection, m, now, welcome)
	case !s.Node.State.Living():
		return refuse(events.CodeFenced, "the node is "+string(s.Node.State))
	case s.Node.Boot == m.Boot:
		plan := Plan{Sends: []Send{welcome(s.Node.Generation)}}
		if s.Node.Connections[m.Slot] != connection {
			plan.Commits = []Commit{One(SetConnection{id, s.Node.Generation, m.Slot, connection})}
		}
		plan.Decision = Decision{Choice: "add a socket", Why: "the boot is known", Inputs: map[string]any{"node": id, "slot": m.Slot}}
		if !s.Node.Reached() {
			plan.Capacity = "a node can be reached again"
		}
		return plan
	case slices.Contains(s.Node.Past, m.Boot):
		return refuse(events.CodeFenced, "a later process of the node has said hello")
	default:
		return reboot(*s.Node, connection, m, now, welcome)
	}
}

func land(s Landing, connection string, m events.Hello, now time.Time, welcome func(room.Generation) Send) Plan {
	l := *s.Launch
	boots := s.Boots.With(l.Type, now.Sub(l.At))
	boots.Region = l.Region
	landed := l
	landed.State, landed.LandedAt = fleet.Landed, now
	n := fleet.Node{ID: l.ID, State: fleet.Filling, Generation: 1, Instance: l.Instance, Type: l.Type, Region: l.Region, Zone: l.Zone, Version: l.Version,
		Capacity: l.Capacity, Available: l.Capacity, Real: l.Capacity, HelloAt: now, TouchedAt: now}
	n = arrived(n, connection, m)
	return Plan{
		Commits:  []Commit{One(PutLaunch{landed, l.State}, PutNode{n, 0}, PutBeat{n.ID, firstBeat(n, now)}), Hint(PutBoots{boots, s.Boots.Revision})},
		Sends:    []Send{welcome(n.Generation)},
		Capacity: "a node landed",
		Decision: Decision{Choice: "land", Why: "first hello of a launch under way", Inputs: map[string]any{
			"node": l.ID, "type": l.Type, "zone": l.Zone, "tookMs": now.Sub(l.At).Milliseconds()}},
	}
}

// pastBoots is how many earlier boots of a node are remembered.
const pastBoots = 4

// reboot begins the next life of a node whose process started again. The blocks
// of the life before are void: they keep their generation, nobody can sit down
// in them, and the sweep drops them.
func reboot(n fleet.Node, connection string, m events.Hello, now time.Time, welcome func(room.Generation) Send) Plan {
	before := n.Generation
	n.Generation++
	n.Past = append(slices.Clone(n.Past), n.Boot)
	n.Past = n.Past[max(0, len(n.Past)-pastBoots):]
	n.Capacity = n.Carries()
	n.Available = n.Capacity
	n.HelloAt, n.TouchedAt = now, now
	n.Connections = nil
	n = arrived(n, connection, m)
	return Plan{
		Commits:  []Commit{One(PutNode{n, before}, PutBeat{n.ID, firstBeat(n, now)})},
		Sends:    []Send{welcome(n.Generation)},
		Capacity: "a node came back",
		Decision: Decision{Choice: "reboot", Why: "an unseen boot begins a new generation", Inputs: map[string]any{
			"node": n.ID, "generation": n.Generation}},
	}
}

func arrived(n fleet.Node, connection string, m events.Hello) fleet.Node {
	n.Boot, n.Fingerprint, n.Build, n.PipePort = m.Boot, m.Fingerprint, m.Build, m.PipePort
	n.Addresses = nil
	for _, a := range m.Addresses {
		n.Addresses = append(n.Addresses, fleet.Address{IP: a.IP, Port: a.Port, Scope: string(a.Scope)})
	}
	connections := map[int]string{}
	maps.Copy(connections, n.Connections)
	connections[m.Slot] = connection
	n.Connections = connections
	return n
}

// Closed forgets a node's socket that has ended. A node without any is given
// nothing until it says hello again, and one of its people who says that it does not
// answer is believed: see [Seating.splits]. Whoever came to the node's place in the
// meantime, on a socket of its own, is left alone.
func Closed(n *fleet.Node, connection string) Plan {
	if n == nil || connection == "" {
		return Plan{}
	}
	left := 0
	plan := Plan{}
	for slot := range events.MaxSlots {
		switch c := n.Connections[slot]; c {
		case "":
		case connection:
			plan.Commits = append(plan.Commits, Hint(ClearConnection{n.ID, n.Generation, slot, connection}))
		default:
			left++
		}
	}
	if len(plan.Commits) > 0 {
		plan.Decision = Decision{Choice: "forget a socket", Why: "it has ended", Inputs: map[string]any{"node": n.ID, "generation": n.Generation, "left": left}}
	}
	return plan
}

func firstBeat(n fleet.Node, now time.Time) fleet.Beat {
	return fleet.Beat{Generation: n.Generation, LeaseUntil: now.Add(fleet.LeaseLasts)}
}

// Heartbeat renews a node's lease, and gives it a token in place of its own, unless
// that is empty.
func Heartbeat(v fleet.View, connection string, m events.Heartbeat, token string, now time.Time) (Plan, error) {
	if err := Fence(v, room.Generation(m.Generation)); err != nil {
		return Plan{}, err
	}
	renewed := Send{To: []string{connection}, Message: events.Renewed{Header: events.Head(events.ActionRenewed), Node: m.Node,
		Generation: m.Generation, Seq: m.Seq, LeaseMs: fleet.LeaseLasts.Milliseconds(), Draining: v.Node.State == fleet.Draining, Token: token}}
	if v.Beat.Generation == v.Node.Generation && v.Beat.Seq >= m.Seq {
		return Plan{Sends: []Send{renewed}}, nil // repeated or overtaken by a later one
	}
	beat := fleet.Beat{Generation: v.Node.Generation, Seq: m.Seq, LeaseUntil: now.Add(fleet.LeaseLasts),
		Load: room.Load{Kbps: m.Load.Kbps, PPS: m.Load.PPS}, People: m.People, Rooms: m.Rooms, CPUPercent: m.CPUPercent, LossPermille: m.LossPermille, Screens: m.Screens}
	for _, p := range m.Pipes {
		beat.Pipes = append(beat.Pipes, fleet.Pipe{Node: room.NodeID(p.Node), Up: p.Up, SendKbps: p.SendKbps, ReceiveKbps: p.ReceiveKbps})
	}
	beat.UsedPermille, beat.Samples = used(v, beat)
	return Plan{Commits: []Commit{One(PutBeat{v.Node.ID, beat})}, Sends: []Send{renewed}}, nil
}

// Member is a seat of somebody in a block.
type Member struct {
	Room     room.Name
	Block    int
	Key      room.Key
	Revision room.Revision
	// Doubled says that it has another seat on the node: only one is its own.
	Doubled bool
}

// SettleAfter is how long table and node may disagree about somebody before the
// inventory puts it right: longer than an offer and its retries take.
const SettleAfter = 60 * time.Second

// Reconcile compares a node's inventory with the blocks on it. Missing are
// seats whose participant the node does not have; Strays are sessions that the
// node has without a seat.
func Reconcile(v fleet.View, blocks []fleet.Block, inv events.Inventory, now time.Time) (missing []Member, strays []Send) {
	// A part may have waited on the node for a gateway that was down: it says
	// nothing of sessions that began later.
	taken := now
	if at := time.UnixMilli(inv.TakenMs); inv.TakenMs > 0 && at.Before(now) {
		taken = at
	}
	type person struct {
		room string
		key  string
	}
	present := map[person]int64{}
	for _, r := range inv.Rooms {
		for key, rev := range r.Members {
			present[person{r.Room, key}] = rev
		}
	}
	seats := map[person]bool{}
	sits := map[person]int{}
	for _, b := range blocks {
		for key := range b.Members {
			if b.Node == v.Node.ID && b.Generation == v.Node.Generation {
				sits[person{string(b.Room), string(key)}]++
			}
		}
	}
	for _, b := range blocks {
		if b.Node != v.Node.ID || b.Generation != v.Node.Generation {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(b.Members)) {
			rev := b.Members[key]
			if events.InventoryPart(string(key), inv.Parts) != inv.Part {
				continue
			}
			p := person{string(b.Room), string(key)}
			at, there := present[p]
			settled := settled(b, rev, taken)
			// A session that took an earlier one's place and never reached the node has
			// lost the seat, and so has the earlier one, which may ask for it again.
			late := there && room.Revision(at) < rev && settled
			seats[p] = seats[p] || !late
			// A seat of an earlier session, beside that of the present one, is free too.
			gone := !there || room.Revision(at) != rev
			if (gone || sits[p] > 1) && settled {
				missing = append(missing, Member{b.Room, b.Index, key, rev, !gone})
			}
		}
	}
	byName := func(a, b person) int { return cmp.Or(cmp.Compare(a.room, b.room), cmp.Compare(a.key, b.key)) }
	for _, p := range slices.SortedFunc(maps.Keys(present), byName) {
		rev := present[p]
		if seats[p] || now.Sub(room.Revision(rev).Time()) <= SettleAfter {
			continue
		}
		strays = append(strays, remove(v, room.Participant{Room: room.Name(p.room), Key: room.Key(p.key), Revision: room.Revision(rev)}, events.CodeNodeGone))
	}
	return missing, strays
}

// settled reports whether somebody with a seat in a block must have reached its
// node when an inventory was taken. In a block that came from a dead node, all who
// sat in it then have [fleet.NoShowAfter] to come here.
func settled(b fleet.Block, rev room.Revision, taken time.Time) bool {
	if rev.Time().Before(b.MovedAt) {
		return taken.Sub(b.MovedAt) > fleet.NoShowAfter
	}
	return taken.Sub(rev.Time()) > SettleAfter
}

// Miscast returns those of whom an inventory says another role than that of the
// block in which they sit: they may not have been reached by what told them.
func Miscast(v fleet.View, blocks []fleet.Block, inv events.Inventory) []Member {
	if !inv.Roles {
		return nil
	}
	here := map[string]events.RoomMembers{}
	for _, r := range inv.Rooms {
		here[r.Room] = r
	}
	var out []Member
	for _, b := range blocks {
		r, listed := here[string(b.Room)]
		if !listed || b.Node != v.Node.ID || b.Generation != v.Node.Generation {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(b.Members)) {
			rev := b.Members[key]
			if r.Members[string(key)] == int64(rev) && slices.Contains(r.Stage, string(key)) != b.For(room.Publisher) {
				out = append(out, Member{Room: b.Room, Block: b.Index, Key: key, Revision: rev})
			}
		}
	}
	return out
}

// Recast tells a node again of the role of somebody whom it may have in another one.
func Recast(s Seating, v fleet.View, m Member) Plan {
	p := s.Participant
	if p == nil || p.Revision != m.Revision || p.Block != m.Block || !p.Removed.IsZero() {
		return Plan{}
	}
	role := p.Role
	if p.Cast == room.Viewer {
		role = p.Cast // told at once, whenever the seat follows
	}
	return Plan{
		Sends: []Send{{To: Sockets(v.Node, 0), Message: events.Recast{Header: events.Head(events.ActionRole), Generation: int64(v.Node.Generation),
			Room: string(p.Room), Key: string(p.Key), Revision: int64(p.Revision), Role: events.Role(role)}}},
		Decision: Decision{Choice: "tell the role again", Why: "the node has another", Inputs: map[string]any{"room": p.Room, "participant": p.Key, "role": role, "node": v.Node.ID}},
	}
}

// Missing frees the seat of a member that its node does not have, and forgets
// the participant if that was its session.
func Missing(s Seating, m Member, now time.Time) Plan {
	b := s.block(m.Block)
	if b == nil {
		return Plan{}
	}
	if p := s.Participant; m.Doubled && (p == nil || p.Revision != m.Revision || p.Block == m.Block) {
		return Plan{} // its own seat, or nobody knows
	}
	plan := Plan{Commits: release(s, *b, m.Key, m.Revision, now)}
	switch p := s.Participant; {
	case p == nil:
	case p.Revision == m.Revision && p.Block == m.Block && p.Held.Revision > 0:
		plan.Commits = append(plan.Commits, One(PutParticipant{p.Back(), p.Revision}))
	case p.Revision == m.Revision && p.Block == m.Block:
		plan.Commits = append(plan.Commits, One(DeleteParticipant{m.Room, m.Key, m.Revision}))
	case p.Held.Revision == m.Revision && p.Held.Block == m.Block:
		next := *p
		next.Held = room.Held{}
		plan.Commits = append(plan.Commits, One(PutParticipant{next, p.Revision}))
	}
	plan.Decision = Decision{Choice: "release", Why: "the node does not have the participant", Inputs: map[string]any{
		"room": m.Room, "participant": m.Key, "block": m.Block, "revision": m.Revision}}
	return plan
}
