package step_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

// lab is a world with nodes and people in it that do as they are told.
type lab struct {
	*testing.T
	*sim.World
	join  events.Join
	hello events.Hello
	nodes int
	seq   int64
	// heard is told what nodes are sent besides offers.
	heard func(node, events.Message)
}

// newLab returns an empty world whose nodes carry the given number of seats.
func newLab(t *testing.T, nodeSeats int) *lab {
	t.Helper()
	profile := room.Default()
	l := &lab{T: t, World: sim.NewWorld(time.UnixMilli(1_790_000_000_000), control.Settings{
		Region: "eu-north-1", Profile: profile, InstanceType: "c7g.large", NodeCapacity: profile.SeatLoad(room.Publisher).Times(nodeSeats),
		MaxNodes: 10, IdleAfterMs: (2 * time.Minute).Milliseconds(), BootMs: 25_000})}
	golden(t, "Join.json", &l.join)
	golden(t, "Hello.json", &l.hello)
	l.join.Role, l.join.Room, l.join.Avoid, l.join.From, l.join.ReceiveKbps = "", "", nil, "", 0
	return l
}

func golden(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "events", "testdata", name))
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// person is a participant of a room with one session at a time.
type person struct {
	caller  control.Caller
	session string
}

func someone(name, roomName string) person {
	return person{control.Caller{Connection: "c-" + name, Room: room.Name(roomName), Key: room.Key("k-" + name), Identity: name, Name: name, MayPublish: true}, "session-" + name}
}

func (l *lab) joins(p person) error {
	l.Helper()
	m := l.join
	m.ID, m.Session = "join-"+p.session, p.session
	return l.World.Join(l.Context(), p.caller, m)
}

// inbox returns what a person was sent since it last looked.
func (l *lab) inbox(p person) []events.Message { return l.take(p.caller.Connection, events.ToClient) }

func (l *lab) take(connection string, b events.Border) []events.Message {
	l.Helper()
	mail, err := l.Mail.Take(connection, b)
	if err != nil {
		l.Fatal(err)
	}
	return mail
}

func one[M events.Message](l *lab, mail []events.Message) M {
	l.Helper()
	var found []M
	for _, m := range mail {
		if m, ok := m.(M); ok {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		var zero M
		l.Fatalf("expected one %T, got %d in %v", zero, len(found), mail)
	}
	return found[0]
}

// node is a node with one socket.
type node struct {
	id         room.NodeID
	connection string
	generation int64
}

// capacity runs the fleet function's pass.
func (l *lab) capacity() {
	l.Helper()
	if err := l.Capacity(l.Context()); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) sweep() {
	l.Helper()
	if err := l.Sweep(l.Context()); err != nil {
		l.Fatal(err)
	}
}

// boots lets the node of an instance say hello.
func (l *lab) boots(id room.NodeID, boot string) node {
	l.Helper()
	n := node{id: id, connection: fmt.Sprintf("c-%s-%s", id, boot)}
	m := l.hello
	m.Node, m.Boot, m.Slot = string(id), boot, 0
	if err := l.Hello(l.Context(), control.Caller{Connection: n.connection, Node: id}, m); err != nil {
		l.Fatal(err)
	}
	mail := l.take(n.connection, events.ToNode)
	n.generation = one[events.Welcome](l, mail).Generation
	return n
}

// launches lets somebody wait until a node has been launched for it, and
// returns that node after its hello and a pass of the fleet function.
func (l *lab) launches() node {
	l.Helper()
	l.capacity()
	known := l.nodes
	living := l.EC2.Living()
	if len(living) != known+1 {
		l.Fatalf("%d instances, expected %d", len(living), known+1)
	}
	l.nodes++
	n := l.boots(living[known], "boot-one")
	l.capacity()
	return n
}

// settles takes a person from no node to its answer on a new one.
func (l *lab) settles(p person) (node, events.Answer) {
	l.Helper()
	if err := l.joins(p); err != nil {
		l.Fatal(err)
	}
	n := l.launches()
	l.inbox(p)
	return n, l.admit(p, n)
}

// admit takes a person all the way to its answer.
func (l *lab) admit(p person, n node) events.Answer {
	l.Helper()
	if err := l.joins(p); err != nil {
		l.Fatal(err)
	}
	l.answers(n)
	return one[events.Answer](l, l.inbox(p))
}

// answers lets a node answer every offer it has.
func (l *lab) answers(n node) []events.Offer {
	l.Helper()
	var offers []events.Offer
	for _, m := range l.take(n.connection, events.ToNode) {
		o, ok := m.(events.Offer)
		if !ok {
			if l.heard != nil {
				l.heard(n, m)
			}
			continue
		}
		offers = append(offers, o)
		a := events.Answered{Header: events.Head(events.ActionAnswered), Node: string(n.id), Generation: n.generation, Room: o.Room,
			Key: o.Person.Key, Session: o.Session, Revision: o.Revision, ID: o.ID, Ticket: o.Ticket, Answer: o.Offer}
		if err := l.Answered(l.Context(), control.Caller{Node: n.id, Connection: n.connection}, a); err != nil {
			l.Fatal(err)
		}
	}
	return offers
}

func (l *lab) left(n node, p person, revision int64) error {
	return l.World.Left(l.Context(), control.Caller{Node: n.id, Connection: n.connection}, events.Left{Header: events.Head(events.ActionLeft),
		Node: string(n.id), Generation: n.generation, Room: string(p.caller.Room), Key: string(p.caller.Key), Revision: revision, Reason: events.LeftByItself})
}

// beats renews a node's lease, with an inventory if there is one.
func (l *lab) beats(n node, inv *events.Inventory) error {
	l.seq++
	return l.Heartbeat(l.Context(), control.Caller{Node: n.id, Connection: n.connection}, events.Heartbeat{Header: events.Head(events.ActionHeartbeat),
		Node: string(n.id), Generation: n.generation, Seq: l.seq, Inventory: inv})
}

// after lets time pass with the nodes alive.
func (l *lab) after(d time.Duration, alive ...node) {
	l.Helper()
	l.Pass(d)
	for _, n := range alive {
		if err := l.beats(n, nil); err != nil {
			l.Fatal(err)
		}
	}
}

// seats returns room → participants by what the blocks say, and fails where a
// node's books do not balance: what is available and what its blocks hold must
// add up to its capacity, and no block may have more members than seats.
func (l *lab) seats() map[room.Name]int {
	l.Helper()
	out := map[room.Name]int{}
	nodes, err := l.World.Store.Find(l.Context(), step.AllNodes{})
	if err != nil {
		l.Fatal(err)
	}
	for _, v := range nodes.Nodes {
		if !v.Node.State.Living() {
			continue // what is dropped with a node is not returned to it
		}
		blocks, err := l.World.Store.Find(l.Context(), step.BlocksOf{Node: v.Node.ID})
		if err != nil {
			l.Fatal(err)
		}
		sum := v.Node.Available.Plus(l.pipes(v.Node))
		for _, b := range blocks.Blocks {
			if b.Generation != v.Node.Generation {
				continue
			}
			sum = sum.Plus(b.Load)
			out[b.Room] += len(b.Members)
			if len(b.Members) > b.Seats {
				l.Errorf("block %d of %s has %d members on %d seats", b.Index, b.Room, len(b.Members), b.Seats)
			}
		}
		if sum != v.Node.Capacity {
			l.Errorf("%s: available and blocks make %v, its capacity is %v", v.Node.ID, sum, v.Node.Capacity)
		}
		if v.Node.Available.Kbps < 0 || v.Node.Available.PPS < 0 {
			l.Errorf("%s is oversold: %v", v.Node.ID, v.Node.Available)
		}
	}
	return out
}

// pipes returns what the pipes of all rooms take from a node.
func (l *lab) pipes(n fleet.Node) room.Load {
	l.Helper()
	rooms, err := l.World.Store.Find(l.Context(), step.AllRooms{})
	if err != nil {
		l.Fatal(err)
	}
	var sum room.Load
	for _, r := range rooms.Rooms {
		if ref := r.NodeRef(n.ID); ref != nil && ref.Generation == n.Generation {
			sum = sum.Plus(r.Profile.PipeLoad().Times(r.Pipes(n.ID)))
		}
	}
	return sum
}

func (l *lab) refused(err error, code events.Code) {
	l.Helper()
	var e *events.Error
	if !errors.As(err, &e) || e.Code != code {
		l.Fatalf("got %v, want %s", err, code)
	}
	if strings.TrimSpace(e.Text) == "" {
		l.Error("the error says nothing")
	}
}

func callerOf(n node) control.Caller { return control.Caller{Node: n.id, Connection: n.connection} }

// node reads a node as the store has it.
func (l *lab) node(n node) fleet.View {
	l.Helper()
	items, err := l.World.Store.Get(l.Context(), true, step.NodeKey{Node: n.id})
	if err != nil || len(items.Nodes) != 1 {
		l.Fatalf("%d nodes, %v", len(items.Nodes), err)
	}
	return items.Nodes[0]
}
