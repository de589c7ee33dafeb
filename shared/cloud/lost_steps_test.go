package cloud_test

import (
	"errors"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// operation is a step in a world that is prepared for it.
type operation struct {
	name string
	set  func(*control.Settings)
	prep func(*scene)
	do   func(*scene) error
	// over are answers to a second attempt by which whoever asked knows that the
	// first one was made.
	over []events.Code
	// later is what comes by itself afterwards, as timers do, and puts right what is
	// allowed to be wrong for a while.
	later func(*scene)
}

// attempts is how often the one who asks asks: each write of a step is struck once.
const attempts = 12

// runs prepares a world and makes the step until it is made, and once more as a
// message that comes twice would. It returns what is then stored, and what the
// step committed when nothing was struck.
func (o operation) runs(t *testing.T, store step.Store, says error, strikes func(int, string) bool) ([]string, []string) {
	t.Helper()
	s := newScene(t, store, o.set)
	o.prep(s)
	if s.noted.offer.Offer == "" {
		s.told() // what was said before does not matter
	}
	s.store.says, s.store.strikes = says, strikes
	if strikes == nil {
		s.store.strikes = func(int, string) bool { return false }
	}
	var err error
	for range attempts {
		if err = o.do(s); err == nil {
			break
		}
		var told *events.Error
		if s.store.hit > 0 && errors.As(err, &told) {
			for _, code := range o.over {
				if told.Code == code {
					err = nil
				}
			}
			if err == nil {
				break
			}
		}
	}
	if err != nil {
		t.Fatalf("not made in %d attempts, %d of them struck: %v", attempts, s.store.hit, err)
	}
	if strikes != nil && s.store.hit == 0 {
		t.Error("no answer was lost")
	}
	commits := s.store.seen
	s.store.strikes = nil
	if o.later != nil {
		o.later(s)
	}
	if len(o.over) > 0 {
		return s.state(), commits // they know by the error
	}
	return append(s.state(), s.told()...), commits
}

// ann and bob are in room r on node 0.
func pair(s *scene) {
	s.seats("ann", "r")
	s.seats("bob", "r")
}

// twoNodes has ann and bob in room r on node 0, and node 1 ready and empty.
func twoNodes(s *scene) {
	pair(s)
	s.ok(s.joins("eve", "x", "session-eve", string(s.nodes[0].id)))
	s.grows()
	s.ok(s.leaves("eve", "x"))
}

// wide lets rooms be on several nodes.
func wide(set *control.Settings) { set.NodesPerRoom = 4 }

func (s *scene) deed(kind events.Deed, name, in string) error {
	_, err := s.Moderate(s.Context(), control.Deed{Kind: kind, Room: room.Name(in), Key: room.Key("k-" + name)})
	return err
}

// declares makes room r before anybody comes.
func (s *scene) declares() error {
	return s.Declare(s.Context(), control.Declaration{Room: "r", Profile: room.Default(), KeepUntil: s.Now().Add(time.Hour)})
}

// lapses lets time go by with only the named nodes alive.
func (s *scene) lapses(d time.Duration, alive ...int) {
	s.Helper()
	s.Pass(d)
	for _, nth := range alive {
		s.ok(s.beats(nth, nil))
	}
}

// staged has ann on the stage of room r and bob beside it, on node 0.
func staged(s *scene) {
	s.seats("ann", "r")
	s.ok(s.joinsAs("bob", "r", events.Viewer))
}

// note keeps what revisions somebody has, for reports that come later.
func (s *scene) note(name, in string) {
	s.Helper()
	p := s.participant(name, in)
	s.noted.now, s.noted.held = int64(p.Revision), int64(p.Held.Revision)
}

// take keeps the offer that node 0 was sent for somebody.
func (s *scene) take(name string) {
	s.Helper()
	mail, err := s.Mail.Take(s.socket(0, 0), events.ToNode)
	s.ok(err)
	for _, m := range mail {
		if o, ok := m.(events.Offer); ok && o.Person.Key == "k-"+name {
			s.noted.offer = o
		}
	}
}

// cannot lets node 0 say that it cannot answer the offer that was kept.
func (s *scene) cannot() error {
	h, o := s.nodes[0], s.noted.offer
	return s.Answered(s.Context(), s.by(0), events.Answered{Header: events.Head(events.ActionAnswered), Node: string(h.id), Generation: h.generation, Room: o.Room,
		Key: o.Person.Key, Session: o.Session, Revision: o.Revision, ID: o.ID, Ticket: o.Ticket, Fault: &events.Fault{Code: events.CodeBadOffer, Text: "no"}})
}

// sweeps lets the timer go on for some minutes, with nodes alive.
func sweeps(alive ...int) func(*scene) {
	return func(s *scene) {
		s.Helper()
		for range 4 {
			s.Pass(100 * time.Second)
			for _, nth := range alive {
				_ = s.beats(nth, nil) // one that was given up is refused
			}
			s.ok(s.Sweep(s.Context()))
		}
	}
}

// assigns lets nodes say what they know of the pipes of room r, which is not the
// latest, and so be told again.
func assigns(s *scene) {
	for nth := range s.nodes {
		s.ok(s.beats(nth, &events.Inventory{TakenMs: s.Now().UnixMilli(), Parts: 1,
			Rooms: []events.RoomMembers{{Room: "r", Members: map[string]int64{}, Epoch: 1}}}))
	}
}

func nothing(*scene) {}

var operations = []operation{
	{"the first one joins and waits", nil, nothing, func(s *scene) error { return s.joins("ann", "r", "session-ann") }, nil, nil},
	{"a node is launched", nil, func(s *scene) { s.ok(s.joins("ann", "r", "session-ann")) }, func(s *scene) error { return s.Capacity(s.Context()) }, nil, func(s *scene) {
		for range 4 { // the timer goes on, and she asks again
			s.Pass(20 * time.Second)
			s.ok(s.joins("ann", "r", "session-ann"))
			s.ok(s.Sweep(s.Context()))
		}
	}},
	{"a node lands", nil, func(s *scene) { s.ok(s.joins("ann", "r", "session-ann")); s.ok(s.Capacity(s.Context())) },
		func(s *scene) error { return s.hello(0, 0, "boot-one") }, nil, nil},
	{"a second socket", nil, pair, func(s *scene) error { return s.hello(0, 1, "boot-one") }, nil, nil},
	{"the next life of a node", nil, pair, func(s *scene) error { return s.hello(0, 0, "boot-two") }, nil, nil},
	{"who waits is served", nil, func(s *scene) {
		s.ok(s.joins("ann", "r", "session-ann"))
		s.ok(s.joins("bob", "r", "session-bob"))
		s.ok(s.joins("cas", "q", "session-cas"))
		s.ok(s.Capacity(s.Context()))
		s.ok(s.hello(0, 0, "boot-one"))
	}, func(s *scene) error { return s.Capacity(s.Context()) }, nil, func(s *scene) { // they ask again while they wait
		s.ok(s.joins("ann", "r", "session-ann"))
		s.ok(s.joins("bob", "r", "session-bob"))
		s.ok(s.joins("cas", "q", "session-cas"))
	}},
	{"a join in a room with a seat", nil, pair, func(s *scene) error { return s.joins("cas", "r", "session-cas") }, nil, nil},
	{"a join that takes a block's last seat", nil, func(s *scene) { pair(s); s.seats("cas", "r") }, func(s *scene) error { return s.joins("dot", "r", "session-dot") }, nil, nil},
	{"a join that grants a block", nil, func(s *scene) { pair(s); s.seats("cas", "r"); s.seats("dot", "r"); s.lapses(8*time.Second, 0) },
		func(s *scene) error { return s.joins("eve", "r", "session-eve") }, nil, nil},
	{"a room's first", nil, pair, func(s *scene) error { return s.joins("cas", "q", "session-cas") }, nil, nil},
	{"a takeover", nil, pair, func(s *scene) error { return s.joins("ann", "r", "session-ann-two") }, nil, nil},
	{"a room grows onto a further node", wide, func(s *scene) { twoNodes(s); s.seats("cas", "r"); s.seats("dot", "r") },
		func(s *scene) error { return s.joins("eve", "r", "session-eve-two", string(s.nodes[0].id)) }, nil, assigns},
	{"a move", wide, func(s *scene) { twoNodes(s); s.ok(s.beats(0, nil)) }, func(s *scene) error {
		return s.follows("ann", "r", "session-ann-two", "session-ann", string(s.nodes[0].id))
	}, nil, assigns},
	{"the end of a move", wide, func(s *scene) {
		twoNodes(s)
		s.ok(s.follows("ann", "r", "session-ann-two", "session-ann", string(s.nodes[0].id)))
		s.note("ann", "r")
	}, func(s *scene) error { return s.left(0, "ann", "r", s.noted.held) }, nil, assigns},
	{"a move that comes to nothing", wide, func(s *scene) {
		twoNodes(s)
		s.ok(s.follows("ann", "r", "session-ann-two", "session-ann", string(s.nodes[0].id)))
		s.note("ann", "r")
	}, func(s *scene) error { return s.left(1, "ann", "r", s.noted.now) }, nil, assigns},
	{"a leave", nil, pair, func(s *scene) error { return s.leaves("ann", "r") }, []events.Code{events.CodeNotJoined}, nil},
	{"the last one's leave", nil, func(s *scene) { s.seats("ann", "r") }, func(s *scene) error { return s.leaves("ann", "r") }, []events.Code{events.CodeNotJoined}, nil},
	{"a report of who left", nil, func(s *scene) { pair(s); s.note("ann", "r") }, func(s *scene) error { return s.left(0, "ann", "r", s.noted.now) }, nil, nil},
	{"a report of the last one", nil, func(s *scene) { s.seats("ann", "r"); s.note("ann", "r") }, func(s *scene) error { return s.left(0, "ann", "r", s.noted.now) }, nil, nil},
	{"a node that cannot answer", nil, func(s *scene) { pair(s); s.note("bob", "r"); s.take("bob") }, func(s *scene) error { return s.cannot() }, nil, nil},
	{"a socket closes while its holder waits", nil, func(s *scene) { s.ok(s.joins("ann", "r", "session-ann")) },
		func(s *scene) error { return s.Disconnected(s.Context(), caller("ann", "r")) }, nil, nil},
	{"a promotion", nil, staged, func(s *scene) error { return s.deed(events.Promote, "bob", "r") }, nil, nil},
	{"a demotion", nil, staged, func(s *scene) error { return s.deed(events.Demote, "ann", "r") }, nil, nil},
	{"a removal", nil, pair, func(s *scene) error { return s.deed(events.RemoveDeed, "bob", "r") }, nil, nil},
	{"the end of a room", nil, func(s *scene) { s.ok(s.declares()); pair(s) }, func(s *scene) error { return s.deed(events.EndRoom, "", "r") }, nil, nil},
	{"a seat of one role becomes one of the other", func(set *control.Settings) { set.Profile.MaxParticipants, set.Profile.MaxPublishers = 4, 4 }, staged,
		func(s *scene) error { return s.joinsAs("cas", "r", events.Publisher) }, nil, nil},
	{"an inventory frees a seat", nil, func(s *scene) { pair(s); s.Pass(control.SettleAfter + 5*time.Second) }, func(s *scene) error {
		return s.beats(0, &events.Inventory{TakenMs: s.Now().UnixMilli(), Parts: 1, Rooms: []events.RoomMembers{
			{Room: "r", Members: map[string]int64{"k-ann": int64(s.participant("ann", "r").Revision)}}}})
	}, nil, nil},
	{"a heartbeat", nil, func(s *scene) { pair(s); s.Pass(fleet.LeaseLasts + time.Second) }, func(s *scene) error { return s.beats(0, nil) }, nil, nil},
	{"a drain", nil, pair, func(s *scene) error {
		_, err := s.Drain(s.Context(), s.nodes[0].id, s.Now().Add(time.Minute), "test")
		return err
	}, nil, sweeps(0)},
	{"a sweep ends an idle node", nil, func(s *scene) {
		pair(s)
		s.ok(s.leaves("ann", "r"))
		s.ok(s.leaves("bob", "r"))
		s.lapses(3*time.Minute, 0)
	},
		func(s *scene) error { return s.Sweep(s.Context()) }, nil, sweeps()},
	{"a sweep forgets an ended node", nil, func(s *scene) {
		pair(s)
		s.ok(s.leaves("ann", "r"))
		s.ok(s.leaves("bob", "r"))
		s.lapses(3*time.Minute, 0)
		s.ok(s.Sweep(s.Context()))
	}, func(s *scene) error { return s.Sweep(s.Context()) }, nil, nil},
	{"a sweep gives a silent node up", nil, func(s *scene) { twoNodes(s); s.lapses(6*time.Minute, 1) }, func(s *scene) error { return s.Sweep(s.Context()) }, nil, sweeps(1)},
	{"a sweep drops a lost node's blocks", nil, func(s *scene) { twoNodes(s); s.lapses(6*time.Minute, 1); s.ok(s.Sweep(s.Context())) },
		func(s *scene) error { return s.Sweep(s.Context()) }, nil, sweeps(1)},
	{"a sweep gives a launch up", nil, func(s *scene) {
		s.ok(s.joins("ann", "r", "session-ann"))
		s.ok(s.Capacity(s.Context()))
		s.Pass(6 * time.Minute)
	},
		func(s *scene) error { return s.Sweep(s.Context()) }, nil, sweeps()},
	{"a sweep drops blocks of an earlier life", nil, func(s *scene) { pair(s); s.ok(s.hello(0, 0, "boot-two")) },
		func(s *scene) error { return s.Sweep(s.Context()) }, nil, nil},
	{"a dead node's seats go elsewhere", nil, func(s *scene) { twoNodes(s); s.lapses(fleet.LeaseLasts+time.Second, 1) },
		func(s *scene) error {
			return s.follows("ann", "r", "session-ann-two", "session-ann", string(s.nodes[0].id))
		}, nil, nil},
	{"a reservation", nil, nothing, func(s *scene) error { return s.Reserve(s.Context(), "r", 10, s.Now().Add(time.Hour)) }, nil, nil},
	{"a sweep launches for a reservation", nil, func(s *scene) {
		s.ok(s.Reserve(s.Context(), "r", 10, s.Now().Add(time.Hour)))
		s.Pass(59*time.Minute + 30*time.Second)
	}, func(s *scene) error { return s.Sweep(s.Context()) }, nil, func(s *scene) { s.Pass(40 * time.Second); s.ok(s.Sweep(s.Context())) }},
	{"a declaration", nil, nothing, (*scene).declares, nil, nil},
}
