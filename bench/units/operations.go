package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/cloud"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

// row is what one operation asked for.
type row struct {
	name        string
	requests    int
	read, write float64
	messages    int
}

func (r row) bill() bill {
	return bill{reads: r.read, writes: r.write, messages: float64(r.messages), calls: 1}
}

// lab is a world whose requests are counted.
type lab struct {
	*sim.World
	now  row
	rows []row
	node room.NodeID
	beat int64
}

// counted is a store that adds up what the meter behind it counts.
type counted struct {
	l     *lab
	meter step.Store
}

func (c counted) count(u *step.Usage) {
	c.l.now.requests += u.Requests
	c.l.now.read += u.ReadUnits
	c.l.now.write += u.WriteUnits
}

func (c counted) Get(ctx context.Context, consistent bool, keys ...step.Key) (step.Items, error) {
	ctx, u := step.WithUsage(ctx)
	defer c.count(u)
	return c.meter.Get(ctx, consistent, keys...)
}

func (c counted) Find(ctx context.Context, q step.Query) (step.Items, error) {
	ctx, u := step.WithUsage(ctx)
	defer c.count(u)
	return c.meter.Find(ctx, q)
}

func (c counted) Commit(ctx context.Context, changes []control.Change) error {
	ctx, u := step.WithUsage(ctx)
	defer c.count(u)
	return c.meter.Commit(ctx, changes)
}

// frame is how much of a message is billed as one.
const frame = 32 << 10

// posts counts messages, each begun 32 KB.
type posts struct {
	step.Push
	l *lab
}

func (p posts) Post(ctx context.Context, connection string, data []byte) error {
	p.l.now.messages += (len(data) + frame - 1) / frame
	return p.Push.Post(ctx, connection, data)
}

func newLab() *lab {
	profile := room.Default()
	l := &lab{World: sim.NewWorld(time.UnixMilli(1_790_000_000_000), control.Settings{Region: "us-east-1", Profile: profile, InstanceType: "c7g.large",
		NodeCapacity: profile.SeatLoad(room.Publisher).Times(20_000), MaxNodes: 10, IdleAfterMs: time.Hour.Milliseconds(), BootMs: 25_000})}
	l.World.World.Store = counted{l, cloud.NewMeter(l.World.Store)}
	l.World.World.Push = posts{l.World.World.Push, l}
	return l
}

// does counts an operation; messages is how many come in for it. The node's lease
// is renewed before, which is not counted.
func (l *lab) does(name string, messages int, f func() error) error {
	if l.beat > 0 {
		if err := l.beats(context.Background(), nil)(); err != nil {
			return err
		}
	}
	l.now = row{name: name, messages: messages}
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	l.rows = append(l.rows, l.now)
	l.Pass(time.Second)
	return nil
}

// offer is as large as a browser's is when it is packed.
var offer = events.Pack("v=0\r\na=fingerprint:sha-256 AA" + strings.Repeat(":AA", 31) + "\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n")

func caller(who, in string) control.Caller {
	return control.Caller{Connection: "Zabcdefghijklmn=" + who, Room: room.Name(in), Key: room.Key(fmt.Sprintf("%-16s", who)[:16]), Identity: "user-" + who, Name: "Somebody " + who, MayPublish: true}
}

func (l *lab) join(ctx context.Context, who, in, session string) func() error {
	return func() error {
		return l.Join(ctx, caller(who, in), events.Join{Header: events.Head(events.ActionJoin), ID: "join-" + session, Session: "session-0000-" + session, Offer: offer})
	}
}

// answers lets the node answer the offers it has, and returns the revisions that
// the sessions have.
func (l *lab) answers(ctx context.Context) (map[string]int64, error) {
	revisions := map[string]int64{}
	mail, err := l.Mail.Take(l.connection(0), events.ToNode)
	if err != nil {
		return nil, err
	}
	more, err := l.Mail.Take(l.connection(1), events.ToNode)
	if err != nil {
		return nil, err
	}
	for _, m := range append(mail, more...) {
		o, ok := m.(events.Offer)
		if !ok {
			continue
		}
		revisions[o.Person.Key] = o.Revision
		a := events.Answered{Header: events.Head(events.ActionAnswered), Node: string(l.node), Generation: 1, Room: o.Room, Key: o.Person.Key,
			Session: o.Session, Revision: o.Revision, ID: o.ID, Ticket: o.Ticket, Answer: o.Offer}
		if err := l.Answered(ctx, l.caller(), a); err != nil {
			return nil, err
		}
	}
	return revisions, nil
}

func (l *lab) connection(slot int) string { return fmt.Sprintf("Znode-%d=", slot) }

func (l *lab) caller() control.Caller {
	return control.Caller{Connection: l.connection(0), Node: l.node}
}

func (l *lab) hello(ctx context.Context, slot int) func() error {
	return func() error {
		l.node = l.EC2.Living()[0]
		return l.Hello(ctx, control.Caller{Connection: l.connection(slot), Node: l.node}, events.Hello{Header: events.Head(events.ActionHello), Node: string(l.node),
			Boot: "boot-0001", Slot: slot, Fingerprint: "AA" + strings.Repeat(":AA", 31), Build: "units",
			Addresses: events.List[events.Address]{{IP: "192.0.2.1", Port: 7882, Scope: events.PublicScope}, {IP: "10.0.0.1", Port: 7882, Scope: events.PrivateScope}}})
	}
}

func (l *lab) beats(ctx context.Context, inv *events.Inventory) func() error {
	return func() error {
		l.beat++
		return l.Heartbeat(ctx, l.caller(), events.Heartbeat{Header: events.Head(events.ActionHeartbeat), Node: string(l.node), Generation: 1, Seq: l.beat, Inventory: inv})
	}
}

func (l *lab) left(ctx context.Context, who, in string, revision int64) func() error {
	c := caller(who, in)
	return func() error {
		return l.Left(ctx, l.caller(), events.Left{Header: events.Head(events.ActionLeft), Node: string(l.node), Generation: 1, Room: in, Key: string(c.Key), Revision: revision, Reason: events.LeftByItself})
	}
}

// warm joins the first person, with the node that is launched for it.
func (l *lab) warm(ctx context.Context) error {
	for _, do := range []struct {
		name     string
		messages int
		f        func() error
	}{
		{"join, and no node runs: wait", 1, l.join(ctx, "ann", "lobby", "ann")},
		{"pass that launches a node", 0, func() error { return l.Capacity(ctx) }},
		{"first hello of a node", 1, l.hello(ctx, 0)},
		{"hello of a second socket", 1, l.hello(ctx, 1)},
		{"pass that serves one who waits", 0, func() error { return l.Capacity(ctx) }},
		{"join of one who was served", 1, l.join(ctx, "ann", "lobby", "ann")},
	} {
		if err := l.does(do.name, do.messages, do.f); err != nil {
			return err
		}
	}
	if _, err := l.answers(ctx); err != nil {
		return err
	}
	return l.beats(ctx, nil)()
}

// operations does each operation once and returns what it took.
func operations(ctx context.Context) ([]row, error) {
	l := newLab()
	if err := l.warm(ctx); err != nil {
		return nil, err
	}
	join := func(who, session string) func() error { return l.join(ctx, who, "meeting", session) }
	all := map[string]int64{}
	steps := []struct {
		name string
		f    func() error
	}{
		{"join of a room's first: a grant", join("p0", "p0")},
		{warmJoin, join("p1", "p1")},
		{"the same session again: nothing new", join("p1", "p1")},
		{"takeover by a second tab", join("p1", "p1-again")},
		{"", join("p2", "p2")},
		{"join that fills its block", join("p3", "p3")},
		{"join that grants a further block", join("p4", "p4")},
		{"warm join in a larger room", join("p5", "p5")},
		{"heartbeat", l.beats(ctx, nil)},
	}
	for _, s := range steps {
		if err := l.does(s.name, 1, s.f); err != nil {
			return nil, err
		}
	}
	if err := l.does("answers of a node, all that wait", 1, func() (err error) { all, err = l.answers(ctx); return err }); err != nil {
		return nil, err
	}
	inv := events.Inventory{TakenMs: l.Now().UnixMilli(), Parts: 1, Rooms: []events.RoomMembers{{Room: "meeting", Members: all}}}
	for _, s := range []struct {
		name string
		f    func() error
	}{
		{"heartbeat with an inventory", l.beats(ctx, &inv)},
		{"left, and others stay", l.left(ctx, "p5", "meeting", all[string(caller("p5", "").Key)])},
		{"left: the last of a block", l.left(ctx, "p4", "meeting", all[string(caller("p4", "").Key)])},
		{"", l.left(ctx, "p3", "meeting", all[string(caller("p3", "").Key)])},
		{"", l.left(ctx, "p2", "meeting", all[string(caller("p2", "").Key)])},
		{"", l.left(ctx, "p1", "meeting", all[string(caller("p1", "").Key)])},
		{"left: the last of a room", l.left(ctx, "p0", "meeting", all[string(caller("p0", "").Key)])},
		{"sweep of one node", func() error { return l.Sweep(ctx) }},
	} {
		if err := l.does(s.name, 1, s.f); err != nil {
			return nil, err
		}
	}
	var named []row
	for _, r := range l.rows {
		if r.name != "" {
			named = append(named, r)
		}
	}
	return named, nil
}

// warmJoin is the operation that has a budget.
const warmJoin = "warm join: a seat in an open block"

// meetings lets people join rooms of a size on a node that runs, lets the node
// answer, and all leave; it returns the bill of one join among them.
func meetings(ctx context.Context, rooms, size int) (bill, error) {
	l := newLab()
	if err := l.warm(ctx); err != nil {
		return bill{}, err
	}
	l.rows = nil
	b := bill{minutes: socketMinutes}
	for r := range rooms {
		in := fmt.Sprintf("meeting-%d", r)
		revisions := map[string]int64{}
		for p := range size {
			who := fmt.Sprintf("p%d-%d", r, p)
			if err := l.does("join", 1, l.join(ctx, who, in, who)); err != nil {
				return bill{}, err
			}
			if err := l.does("answer", 1, func() error {
				some, err := l.answers(ctx)
				for k, v := range some {
					revisions[k] = v
				}
				return err
			}); err != nil {
				return bill{}, err
			}
		}
		for p := range size {
			who := fmt.Sprintf("p%d-%d", r, p)
			if err := l.does("left", 1, l.left(ctx, who, in, revisions[string(caller(who, in).Key)])); err != nil {
				return bill{}, err
			}
		}
	}
	for _, r := range l.rows {
		b.reads += r.read
		b.writes += r.write
		b.messages += float64(r.messages)
	}
	n := float64(rooms * size)
	b.reads, b.writes, b.messages = b.reads/n, b.writes/n, b.messages/n
	b.calls = 5 // authorizer, join, answered, left, and the end of the socket
	if left := l.World.Store.Len(); left > 20 {
		return bill{}, fmt.Errorf("%d items are left when all have gone", left)
	}
	return b, nil
}
