// Package trial runs the control plane in a seeded world with a clock of its
// own: people who join, retry, take over, vanish and give up; nodes that boot
// slowly, crash, hang and are cut off; a store, a gateway and an EC2 that fail
// in every way they are known to; functions that die between any two requests.
// The code under trial is the real one, from [step.World] down to its plans.
//
// After every step of the world the invariants are checked. A seed always gives
// the same world, so a failure can be run again, and shrunk by leaving people
// and faults out for as long as it still happens.
//
// All of a trial runs on one goroutine at a time. Nothing here is safe for
// concurrent use; several trials may run side by side.
package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// Config says which world to run.
type Config struct {
	Seed uint64
	// Steps is how many steps the faults last. Then they end, people settle, leave,
	// and everything must be given back.
	Steps int
	// Trace takes a line for each thing that happens; nil: none is made.
	Trace io.Writer
	// Muted are faults that do not happen, Absent people who do not come: both by
	// what [Result] calls them.
	Muted  map[uint64]bool
	Absent map[int]bool
}

// Fault is something that went wrong on purpose.
type Fault struct {
	ID   uint64
	What string
}

// Result is what became of a trial.
type Result struct {
	// Err is the invariant that was broken first, nil if none was.
	Err error
	// Kind tells invariants apart, whatever they were broken by.
	Kind string
	// Steps is how many there were, those after the faults included.
	Steps int
	// People is how many took part, Joined how often somebody got media.
	People, Joined int
	// Launched is how many instances were started, Bill what they cost in seconds.
	Launched int
	Bill     time.Duration
	// Widest is on how many nodes a room was at most, Assigned how many assignments
	// nodes took.
	Widest, Assigned int
	Faults           []Fault
	// Print is a hash of all that happened: the same seed gives the same.
	Print uint64
}

var epoch = time.UnixMilli(1_790_000_000_000).UTC()

// trial is one world.
type trial struct {
	cfg      Config
	set      control.Settings
	weather  weather
	clock    clock
	store    *ledger
	gateway  *gateway
	ec2      *cloud
	watch    *watch
	people   []*person
	calls    map[*call]bool
	nth      map[string]uint64
	faults   []Fault
	script   []*scripted
	joined   int
	assigned int
	// What else happened: people who changed nodes with two connections for a moment,
	// sources that nodes switched off, tokens that were renewed.
	moved, muted, renewed int
	calm                  bool
	// isolated: transactions hold their items for a while, until when by name.
	isolated bool
	locks    map[string]int64
	finished func(*call)
	failure  error
	kind     string
	print    uint64
}

// newTrial makes a world in which nothing has happened yet.
func newTrial(cfg Config, w weather) *trial {
	profile := room.Default()
	profile.MaxParticipants, profile.MaxPublishers = w.maxParticipants, w.maxParticipants
	if w.stage > 0 {
		profile.MaxPublishers = min(w.stage, w.maxParticipants)
	}
	t := &trial{cfg: cfg, weather: w, calls: map[*call]bool{}, nth: map[string]uint64{}, locks: map[string]int64{}}
	t.set = control.Settings{Region: "r", Profile: profile, InstanceType: "c7g.large", NodeCapacity: profile.SeatLoad(room.Publisher).Times(w.nodeSeats),
		Zones: w.zones, NodesPerRoom: w.nodesPerRoom, MaxNodes: w.maxNodes, IdleAfterMs: w.idleAfter.Milliseconds(), BootMs: 25_000,
		SpareSeats: w.spareSeats, Thrift: w.thrift}
	if w.nodesPerRoom > 1 { // beside the seats
		t.set.PipeReserve = profile.PipeLoad().Times(min(w.nodesPerRoom-1, room.Fanout+1))
		t.set.NodeCapacity = t.set.NodeCapacity.Plus(t.set.PipeReserve)
	}
	t.store = newLedger(t)
	t.gateway = &gateway{t: t, conns: map[string]*conn{}}
	t.ec2 = &cloud{t: t, tokens: map[string]*machine{}}
	t.watch = newWatch(t)
	return t
}

// Run runs the world of a seed.
func Run(cfg Config) Result {
	t := newTrial(cfg, forecast(cfg.Seed))
	t.populate()
	t.disturb()
	t.operate()
	t.after(t.weather.sweepEvery, t.timer)
	t.run(cfg.Steps)
	t.settle()
	return t.result()
}

func (t *trial) result() Result {
	for c := range t.calls {
		c.stop()
	}
	return Result{Err: t.failure, Kind: t.kind, Steps: t.clock.steps, People: len(t.people), Joined: t.joined, Launched: len(t.ec2.machines), Bill: t.ec2.bill(), Widest: t.watch.widest, Assigned: t.assigned,
		Faults: t.faults, Print: t.print}
}

// run makes steps until there have been that many, or something is broken.
func (t *trial) run(steps int) {
	for t.failure == nil && t.clock.steps < steps && t.clock.step() {
		t.watch.look()
	}
}

// pass runs the world for a time.
func (t *trial) pass(d time.Duration) {
	until := t.clock.now + int64(d)
	for t.failure == nil && t.clock.before(until) && t.clock.step() {
		t.watch.look()
	}
	t.clock.now = max(t.clock.now, until)
}

func (t *trial) now() time.Time { return epoch.Add(time.Duration(t.clock.now)) }

func (t *trial) after(d time.Duration, do func()) { t.clock.add(d, do) }

// fail notes the first invariant that is broken.
func (t *trial) fail(format string, args ...any) {
	if t.failure == nil {
		t.kind = format
		t.failure = fmt.Errorf("at %s, step %d: %s", t.at(), t.clock.steps, fmt.Sprintf(format, args...))
		t.note("BROKEN: %v", t.failure)
	}
}

func (t *trial) ctx() context.Context { return context.Background() }

func (t *trial) at() string {
	return fmt.Sprintf("%.3fs", time.Duration(t.clock.now).Seconds())
}

// note writes a line of the trace.
func (t *trial) note(format string, args ...any) {
	if t.cfg.Trace != nil {
		fmt.Fprintf(t.cfg.Trace, "%10s  %s\n", t.at(), fmt.Sprintf(format, args...))
	}
}

// mark adds what happens to the print.
func (t *trial) mark(v uint64) { t.print = mix(t.print, v, uint64(t.clock.now)) }

// fault decides whether something goes wrong, and notes that it did.
func (t *trial) fault(p float64, what string, who string, parts ...uint64) bool {
	if t.calm || p <= 0 {
		return false
	}
	id := mix(append(parts, t.cfg.Seed, name(what), name(who))...)
	if unit(id) >= p || t.cfg.Muted[id] {
		return false
	}
	t.strike(id, what+": "+who)
	return true
}

func (t *trial) strike(id uint64, what string) {
	t.faults = append(t.faults, Fault{id, fmt.Sprintf("%s at %s", what, t.at())})
	t.note("FAULT %s", what)
}

// timer sweeps, and sets itself again.
func (t *trial) timer() {
	n := t.count("timer")
	if !t.fault(t.weather.sweepMissed, "the timer misses a beat", "timer", n) {
		t.sweep()
		if t.fault(t.weather.sweepMissed, "the timer fires twice", "timer", n) {
			t.after(time.Second, t.sweep)
		}
	}
	t.after(t.weather.sweepEvery, t.timer)
}

func (t *trial) sweep() {
	began := t.now()
	t.call("sweep", "timer", 60*time.Second, func(ctx context.Context, w *step.World) error { return w.Sweep(ctx) },
		func(c *call, err error) {
			if err == nil && c.struck == 0 {
				t.watch.served(began)
				t.watch.inTurn(c)
			}
		})
}

func (t *trial) capacity() {
	t.call("capacity", "bus", 60*time.Second, func(ctx context.Context, w *step.World) error { return w.Capacity(ctx) },
		func(c *call, err error) {
			if err == nil && c.struck == 0 {
				t.watch.inTurn(c)
			}
		})
}

// count numbers the things of a name.
func (t *trial) count(name string) uint64 {
	t.nth[name]++
	return t.nth[name]
}

// tickets are not sealed here: who could forge one is not in this world.
type tickets struct{}

func (tickets) SealTicket(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}

func (tickets) OpenTicket(sealed string, into any) error {
	if json.Unmarshal([]byte(sealed), into) != nil {
		return errors.New("not a ticket")
	}
	return nil
}
