package cloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/moto"
	"github.com/spillway-sfu/spillway/shared/cloud"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

// asked is somebody's join.
var asked = func() events.Join {
	var m events.Join
	data, err := os.ReadFile("../../events/testdata/Join.json")
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		panic(err)
	}
	m.Role, m.Room, m.Avoid, m.From, m.ReceiveKbps = "", "", nil, "", 0
	return m
}()

// errNoAnswer is what a caller knows of a write whose answer was lost.
var errNoAnswer = errors.New("the request timed out")

// lossy is a store that makes some commits and says that it did not: with an error
// that leaves it open, or with a conflict, as where the SDK sent the request again
// and it met what it had written itself.
type lossy struct {
	step.Store
	says error
	// strikes decides which commits: it is told how many there were, and what this
	// one is made of.
	strikes func(nth int, what string) bool
	// seen are those there were since it was set to work, hit how many were struck.
	seen []string
	hit  int
}

func (l *lossy) Commit(ctx context.Context, changes []control.Change) error {
	err := l.Store.Commit(ctx, changes)
	if err != nil || l.strikes == nil {
		return err
	}
	var names []string
	for _, c := range changes {
		names = append(names, strings.TrimPrefix(fmt.Sprintf("%T", c), "control."))
	}
	what := strings.Join(names, "+")
	l.seen = append(l.seen, what)
	if l.strikes(len(l.seen)-1, what) {
		l.hit++
		return l.says
	}
	return nil
}

// scene is a world on a store that loses answers.
type scene struct {
	*testing.T
	*sim.World
	store *lossy
	seq   int64
	nodes []*host
	// noted are the revisions of a participant, and an offer, at some time.
	noted struct {
		now, held int64
		offer     events.Offer
	}
}

// host is a node that answers when it is told to.
type host struct {
	id         room.NodeID
	boot       string
	generation int64
}

func newScene(t *testing.T, store step.Store, set func(*control.Settings)) *scene {
	t.Helper()
	profile := room.Default()
	s := control.Settings{Region: "eu-north-1", Profile: profile, InstanceType: "c7g.large", NodeCapacity: profile.SeatLoad(room.Publisher).Times(20),
		MaxNodes: 10, IdleAfterMs: (2 * time.Minute).Milliseconds(), BootMs: 25_000}
	if set != nil {
		set(&s)
	}
	sc := &scene{T: t, World: sim.NewWorld(time.UnixMilli(1_790_000_000_000), s), store: &lossy{Store: store}}
	sc.World.World.Store = sc.store
	return sc
}

func (s *scene) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func caller(name, in string) control.Caller {
	return control.Caller{Connection: "c-" + name, Room: room.Name(in), Key: room.Key("k-" + name), Identity: name, Name: name, MayPublish: true}
}

// joins lets a session of somebody join.
func (s *scene) joins(name, in, session string, avoid ...string) error {
	return s.follows(name, in, session, "", avoid...)
}

func (s *scene) joinsAs(name, in string, role events.Role) error {
	m := asked
	m.ID, m.Session, m.Role = "r-"+name, "session-"+name, role
	return s.World.Join(s.Context(), caller(name, in), m)
}

// follows lets a later session of somebody join that takes an earlier one along.
func (s *scene) follows(name, in, session, from string, avoid ...string) error {
	m := asked
	m.ID, m.Session, m.From, m.Avoid = "r-"+session, session, from, avoid
	return s.World.Join(s.Context(), caller(name, in), m)
}

// hello says hello for the nth instance that runs, which may be its first.
func (s *scene) hello(nth, slot int, boot string) error {
	for len(s.nodes) <= nth {
		s.nodes = append(s.nodes, &host{})
	}
	h := s.nodes[nth]
	h.id, h.boot = s.EC2.Living()[nth], boot
	by := control.Caller{Connection: s.socket(nth, slot), Node: h.id}
	err := s.Hello(s.Context(), by, events.Hello{Header: events.Head(events.ActionHello), Node: string(h.id), Boot: boot, Slot: slot,
		Addresses: []events.Address{{IP: "192.0.2.1", Port: 7882, Scope: "public"}}, PipePort: 7883, Build: "1",
		Fingerprint: strings.TrimSuffix(strings.Repeat("9A:", 32), ":")})
	mail, failed := s.Mail.Take(by.Connection, events.ToNode)
	s.ok(failed)
	for _, m := range mail {
		if m, ok := m.(events.Welcome); ok {
			h.generation = m.Generation
		}
	}
	return err
}

func (s *scene) socket(nth, slot int) string {
	return fmt.Sprintf("c-node-%d-%d-%s", nth, slot, s.nodes[nth].boot)
}

func (s *scene) by(nth int) control.Caller {
	return control.Caller{Connection: s.socket(nth, 0), Node: s.nodes[nth].id}
}

// grows brings up one more node for somebody who waits, and serves who waits.
func (s *scene) grows() {
	s.Helper()
	s.ok(s.Capacity(s.Context()))
	nth := len(s.nodes)
	if got := len(s.EC2.Living()); got != nth+1 {
		s.Fatalf("%d instances, expected %d", got, nth+1)
	}
	s.ok(s.hello(nth, 0, "boot-one"))
	s.ok(s.Capacity(s.Context()))
}

// seats brings somebody to its seat, launching a node for the first.
func (s *scene) seats(name, in string) {
	s.Helper()
	s.ok(s.joins(name, in, "session-"+name))
	if len(s.nodes) == 0 {
		s.grows()
		s.ok(s.joins(name, in, "session-"+name))
	}
}

// beats renews the leases of nodes, and brings inventories where there are.
func (s *scene) beats(nth int, inv *events.Inventory) error {
	s.seq++
	h := s.nodes[nth]
	return s.Heartbeat(s.Context(), s.by(nth), events.Heartbeat{Header: events.Head(events.ActionHeartbeat), Node: string(h.id), Generation: h.generation,
		Seq: s.seq, Inventory: inv})
}

func (s *scene) participant(name, in string) room.Participant {
	s.Helper()
	items, err := s.store.Get(s.Context(), true, step.ParticipantKey{Room: room.Name(in), Key: room.Key("k-" + name)})
	if err != nil || len(items.Participants) != 1 {
		s.Fatalf("%s in %s: %v, %v", name, in, items.Participants, err)
	}
	return items.Participants[0]
}

func (s *scene) left(nth int, name, in string, revision int64) error {
	h := s.nodes[nth]
	return s.World.Left(s.Context(), s.by(nth), events.Left{Header: events.Head(events.ActionLeft), Node: string(h.id), Generation: h.generation,
		Room: in, Key: "k-" + name, Revision: revision, Reason: events.LeftByItself})
}

func (s *scene) leaves(name, in string) error {
	return s.World.Leave(s.Context(), caller(name, in), events.Leave{Header: events.Head(events.ActionLeave), ID: "l", Session: "session-" + name})
}

// state is all that matters of what is stored, in words: who sits where, what is
// left of each node and each room, who waits, what is launched. Counters that a
// second attempt moves on, names that it makes anew, and the hint that a block is
// full are not in it.
func (s *scene) state() []string {
	s.Helper()
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	find := func(q step.Query) step.Items {
		items, err := s.store.Find(s.Context(), q)
		s.ok(err)
		return items
	}
	names := map[room.NodeID]string{"": "none"}
	all, err := s.EC2.List(s.Context())
	s.ok(err)
	running := 0
	for _, i := range all {
		if _, ok := names[i.Node]; !ok {
			names[i.Node] = fmt.Sprintf("node %d", len(names))
		}
		if !i.Gone {
			running++
		}
	}
	say("%d instances run", running)
	for _, v := range find(step.AllNodes{}).Nodes {
		n := v.Node
		say("%s: %s, generation %d, %v of %v, sockets %v, lease %v", names[n.ID], n.State, n.Generation, n.Available, n.Capacity, slices.Sorted(maps.Keys(n.Connections)), v.Alive(s.Now()))
	}
	for _, r := range find(step.AllRooms{}).Rooms {
		say("room %s: %d left of %d, %d on stage", r.Name, r.SeatsLeft, r.Profile.MaxParticipants, r.Profile.MaxPublishers)
		var keys []step.Key
		for _, ref := range r.Blocks {
			keys = append(keys, step.BlockKey{Room: r.Name, Index: ref.Index})
		}
		for _, n := range r.Nodes {
			say("room %s on %s, fed by %s", r.Name, names[n.Node], names[n.Feeder])
		}
		if len(keys) == 0 {
			continue
		}
		items, err := s.store.Get(s.Context(), true, keys...)
		s.ok(err)
		if len(items.Blocks) != len(keys) {
			s.Errorf("%s has %d blocks, its directory says %d", r.Name, len(items.Blocks), len(keys))
		}
		for _, b := range items.Blocks {
			say("room %s: block of %d %ss on %s, generation %d, sealed %v: %v", b.Room, b.Seats, b.Role, names[b.Node], b.Generation, b.Sealed, s.members(b))
		}
	}
	for _, w := range find(step.Waiting{Region: s.Settings.Region}).Waits {
		say("%s waits for %s", w.Key, w.Room)
	}
	for _, l := range find(step.Demand{Region: s.Settings.Region}).Launches {
		say("launch %s: %s, attempt %d", names[l.ID], l.State, l.Attempt)
	}
	for _, r := range find(step.Reservations{Region: s.Settings.Region}).Reservations {
		say("%d seats are reserved for %s", r.Seats, r.Room)
	}
	slices.Sort(out)
	return out
}

// told is what was said to whom, each thing once: whoever must hear of a step
// hears of it in the end, if not the first time. Ready is not in it, because who
// waits asks again, nor
// is Shutdown, because the machine is ended.
func (s *scene) told() []string {
	s.Helper()
	said := map[string]bool{}
	for nth := range s.nodes {
		mail, err := s.Mail.Take(s.socket(nth, 0), events.ToNode)
		s.ok(err)
		for _, m := range mail {
			switch m.(type) {
			case events.Shutdown, events.Renewed:
				continue
			}
			line := fmt.Sprintf("node %d is told %T", nth+1, m)
			switch m := m.(type) {
			case events.Offer:
				line += " " + m.Person.Key
			case events.Remove:
				line += fmt.Sprint(" ", m.Key, " ", m.Code)
			case events.Recast:
				line += fmt.Sprint(" ", m.Key, " ", m.Role)
			case events.MoveAway:
				line += fmt.Sprint(" ", m.Keys)
			}
			said[line] = true
		}
	}
	for _, name := range []string{"ann", "bob", "cas", "dot", "eve"} {
		mail, err := s.Mail.Take("c-"+name, events.ToClient)
		s.ok(err)
		for _, m := range mail {
			if _, ok := m.(events.Ready); !ok {
				said[fmt.Sprintf("%s is told %T", name, m)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(said))
}

// members says who sits in a block by which session, and whether each knows.
func (s *scene) members(b fleet.Block) (out []string) {
	s.Helper()
	for _, key := range slices.Sorted(maps.Keys(b.Members)) {
		items, err := s.store.Get(s.Context(), true, step.ParticipantKey{Room: b.Room, Key: key})
		s.ok(err)
		who := string(key)
		for _, p := range items.Participants {
			switch {
			case p.Block == b.Index && p.Revision == b.Members[key]:
				who += " by " + p.Session
			case p.Held.Block == b.Index && p.Held.Revision == b.Members[key]:
				who += " held"
			}
		}
		out = append(out, who)
	}
	return out
}

// TestEveryStepOutlivesALostAnswer makes each step on a store that makes its
// writes and loses the answers: to the one and to the other write of it in
// memory, to the first of each kind on DynamoDB's API. Then whoever asked for the
// step asks again, as browsers, nodes and timers do. In the end all is as if no
// answer had been lost.
func TestEveryStepOutlivesALostAnswer(t *testing.T) {
	server, err := moto.Start(t.Context(), moto.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	db, tables := dynamodb.NewFromConfig(motoConfig(server.URL)), 0
	table := func() step.Store {
		tables++
		name := fmt.Sprintf("lost-%d", tables)
		if _, err := db.CreateTable(t.Context(), cloud.CreateTableInput(name)); err != nil {
			t.Fatal(err)
		}
		return cloud.NewStore(db, name)
	}
	memory := func() step.Store { return sim.NewStore() }
	struck := map[string]bool{}
	for nth, o := range operations {
		t.Run(o.name, func(t *testing.T) {
			want, commits := o.runs(t, memory(), nil, nil)
			if len(commits) == 0 {
				t.Fatal("the step writes nothing")
			}
			for _, what := range commits {
				struck[what] = true
			}
			for _, says := range []error{errNoAnswer, step.ErrConflict} {
				for i, what := range commits {
					got, _ := o.runs(t, memory(), says, func(nth int, _ string) bool { return nth == i })
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("%v for commit %d (%s) (-as it is without, +got):\n%s", says, i+1, what, d)
					}
				}
			}
			known := map[string]bool{}
			says := []error{errNoAnswer, step.ErrConflict}[nth%2]
			got, _ := o.runs(t, table(), says, func(_ int, what string) bool {
				defer func() { known[what] = true }()
				return !known[what]
			})
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("on DynamoDB's API, %v for the first of each kind (-as it is without, +got):\n%s", says, d)
			}
		})
	}
	t.Logf("%d kinds of commits in %d steps: %s", len(struck), len(operations), strings.Join(slices.Sorted(maps.Keys(struck)), ", "))
}
