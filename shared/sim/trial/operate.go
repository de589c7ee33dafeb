package trial

import (
	"context"
	"fmt"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// What operators, the customer's backend, admins in a room and EC2 do to a world.

// noticeBefore is how long before its end a spot instance is told of it.
const noticeBefore = 2 * time.Minute

// operate plans all of it. Each is a fault in so far as a world may do without
// it.
func (t *trial) operate() {
	w := t.weather
	for _, d := range []struct {
		deed  events.Deed
		times int
	}{{events.Promote, w.promotes}, {events.Demote, w.demotes}, {events.Mute, w.mutes}, {events.RemoveDeed, w.removes}, {events.EndRoom, w.roomEnds}} {
		t.plan("somebody is to "+string(d.deed), d.times, func(dice *dice) {
			if p := t.anybody(dice); p != nil {
				t.deed(d.deed, p, dice.chance(0.5), time.Duration(dice.below(2))*time.Minute)
			}
		})
	}
	t.plan("a node is drained", w.drains, func(d *dice) {
		if n := t.victim(d); n != nil {
			t.drain(n)
		}
	})
	t.plan("a spot instance is taken back", w.spots, func(d *dice) {
		if n := t.victim(d); n != nil {
			t.spot(n.machine)
		}
	})
	t.plan("maintenance is scheduled", w.maintenances, func(d *dice) {
		if n := t.victim(d); n != nil {
			t.notice(n.machine, "maintenance is scheduled")
		}
	})
	t.plan("a room is announced", w.reservations, func(d *dice) {
		t.reserve(fmt.Sprintf("room-%d", d.below(w.rooms)), 1+d.below(20), d.between(30*time.Second, 4*time.Minute))
	})
}

// plan lets something happen so often, at any time of the faults.
func (t *trial) plan(what string, n int, do func(d *dice)) {
	for i := range n {
		d := &dice{seed: mix(t.cfg.Seed, name(what), uint64(i))}
		t.after(d.between(30*time.Second, 12*time.Minute), func() {
			if t.fault(1, what, "the world", uint64(i)) {
				do(d)
			}
		})
	}
}

// anybody is somebody who is in a room.
func (t *trial) anybody(d *dice) *person {
	some := in(t.people)
	if len(some) == 0 {
		return nil
	}
	return some[d.below(len(some))]
}

// deed does something to somebody, or to its room: as the customer's backend, or as
// an admin who is on the node.
func (t *trial) deed(kind events.Deed, p *person, backend bool, bar time.Duration) {
	t.note("somebody is to %s %s of %s", kind, p.label, p.caller.Room)
	d := control.Deed{Kind: kind, Room: p.caller.Room, Key: p.caller.Key}
	switch kind {
	case events.Mute:
		d.Sources = []events.Source{events.Camera}
	case events.RemoveDeed:
		d.BarFor = bar
	case events.EndRoom:
		d.Key = ""
	}
	if backend || p.node == nil {
		t.call(string(kind), "api "+string(p.caller.Key), 10*time.Second, func(ctx context.Context, w *step.World) error {
			_, err := w.Moderate(ctx, d)
			return err
		}, nil)
		return
	}
	n := p.node
	m := events.ModerateFor{Header: events.Head(events.ActionModerate), Node: n.id, Generation: n.generation, Room: string(d.Room), By: "admin",
		ID: "m", Deed: kind, Participant: string(d.Key), Sources: d.Sources}
	n.post("moderate", answerWithin, func(ctx context.Context, w *step.World, by control.Caller) error {
		return w.ModerateFor(ctx, by, m, d.Key)
	})
}

// drain takes a node out of service, as an operator does.
func (t *trial) drain(n *node) {
	t.note("%s is to be drained", n.id)
	t.call("drain", "api "+n.id, 10*time.Second, func(ctx context.Context, w *step.World) error {
		_, err := w.Drain(ctx, room.NodeID(n.id), w.Settings.DrainBy(w.Now(), time.Time{}), "an operator asked for it")
		return err
	}, nil)
}

// notice is an event about an instance; it may be lost.
func (t *trial) notice(m *machine, why string) {
	t.note("%s: %s", m.id, why)
	if t.fault(t.weather.busLost, "an event is lost", m.id, t.count("notice")) {
		return
	}
	var ends time.Time
	if m.noticed != 0 {
		ends = epoch.Add(time.Duration(m.noticed) + noticeBefore)
	}
	t.after(t.delay(mix(name(m.id), name(why)), time.Second, 5*time.Second), func() {
		t.call("notice", m.id, 60*time.Second, func(ctx context.Context, w *step.World) error {
			return w.DrainInstances(ctx, []string{m.id}, ends, why)
		}, nil)
	})
}

// spot tells the node and the control plane that the machine will be taken away,
// and takes it away.
func (t *trial) spot(m *machine) {
	if m.noticed != 0 {
		return
	}
	m.noticed = t.clock.now
	t.notice(m, "EC2 Spot Instance Interruption Warning")
	t.after(5*time.Second, func() {
		if m.process != nil {
			m.process.endsAt = epoch.Add(time.Duration(m.noticed) + noticeBefore)
		}
	})
	t.after(noticeBefore, func() {
		if m.ended != 0 {
			return
		}
		t.note("EC2 takes %s back", m.id)
		t.ec2.end(m)
		if !t.fault(t.weather.busLost, "a state change is lost", m.id) {
			t.after(2*time.Second, t.sweep)
		}
	})
}

// reserve announces a room.
func (t *trial) reserve(in string, seats int, ahead time.Duration) {
	at := t.now().Add(ahead)
	t.note("%d are announced for %s in %s", seats, in, ahead)
	t.call("reserve", in, 10*time.Second, func(ctx context.Context, w *step.World) error {
		return w.Reserve(ctx, room.Name(in), seats, at)
	}, nil)
}
