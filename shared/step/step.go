package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
)

// World is everything a step touches.
type World struct {
	Store     Store
	Push      Push
	Instances Instances
	Bus       Bus
	Tickets   Tickets
	// NodeToken makes a token for a node that begins now; nil leaves nodes with
	// what they have.
	NodeToken func(node room.NodeID, now time.Time) (string, error)
	Settings  control.Settings
	Log       *slog.Logger
	Now       func() time.Time
	// Spread returns any number, another one each time.
	Spread func() uint64
	// Pause waits, or returns the context's error.
	Pause func(ctx context.Context, d time.Duration) error
	// AtOnce runs functions side by side and returns when all have returned. Nil
	// gives each a goroutine; a simulation has its own way.
	AtOnce func(each []func())
}

// atOnce runs functions side by side.
func (w *World) atOnce(each []func()) {
	if w.AtOnce != nil {
		w.AtOnce(each)
		return
	}
	var all sync.WaitGroup
	for _, f := range each {
		all.Go(f)
	}
	all.Wait()
}

// maxAttempts bounds how often a step decides again after conflicts.
const maxAttempts = 8

// crowdPause is about how long a grant takes that others are about to make.
const crowdPause = 15 * time.Millisecond

// run is the loop: load a snapshot, decide, commit; after a conflict again, and
// from then on with a complete snapshot; then tell. load is told whether the
// snapshot must be complete.
func run[S any](ctx context.Context, w *World, name string, load func(ctx context.Context, complete bool) (S, error), decide func(S) (control.Plan, error)) (control.Plan, error) {
	ctx, usage := WithUsage(ctx)
	began := w.Now()
	complete, moved := false, 0
	for attempt := 0; attempt < maxAttempts; attempt++ {
		if attempt > 0 && complete {
			// Racers that lost together should not meet again.
			backoff := time.Duration(w.Spread()%uint64(16<<min(attempt, 5))) * time.Millisecond
			if err := w.Pause(ctx, backoff); err != nil {
				return control.Plan{}, err
			}
		}
		snapshot, err := load(ctx, complete)
		if err != nil {
			return control.Plan{}, fmt.Errorf("load for %s: %w", name, err)
		}
		plan, err := decide(snapshot)
		if errors.Is(err, errElsewhere) {
			complete = true
			if moved++; moved < maxMoves {
				attempt-- // it is no failure
			}
			continue
		}
		if errors.Is(err, control.ErrLookAgain) {
			complete = true
			continue
		}
		if errors.Is(err, control.ErrCrowd) {
			complete = true
			if err := w.Pause(ctx, crowdPause+time.Duration(w.Spread()%uint64(crowdPause))); err != nil {
				return control.Plan{}, err
			}
			continue
		}
		if err != nil {
			w.log(name, attempt, began, usage, control.Decision{Choice: "refuse", Why: err.Error()})
			return control.Plan{}, err
		}
		rooms, err := w.commit(ctx, plan)
		if errors.Is(err, ErrConflict) {
			w.assign(ctx, rooms)
			complete = true
			continue
		}
		if err != nil {
			return control.Plan{}, fmt.Errorf("commit for %s: %w", name, err)
		}
		w.log(name, attempt, began, usage, plan.Decision)
		w.keep(ctx, name, plan)
		err = w.tell(ctx, plan)
		w.assign(ctx, rooms)
		return plan, err
	}
	w.log(name, maxAttempts, began, usage, control.Decision{Choice: "give up", Why: "conflicts"})
	err := events.Errorf(events.CodeBusy, "too many do the same at once; try again")
	err.RetryAfterMs = 500
	return control.Plan{}, err
}

// commit makes a plan's commits in order. It returns the rooms whose nodes are to
// be told of a change, also when a later commit failed.
func (w *World) commit(ctx context.Context, plan control.Plan) ([]room.Room, error) {
	var rooms []room.Room
	for i, c := range plan.Commits {
		err := w.Store.Commit(ctx, c.Changes)
		if errors.Is(err, ErrConflict) && c.Optional {
			continue
		}
		if err != nil {
			return rooms, fmt.Errorf("commit %d of %d (%T): %w", i+1, len(plan.Commits), c.Changes[0], err)
		}
		rooms = append(rooms, changed(c)...)
	}
	return rooms, nil
}

// tell does what comes after the commits. All of it is safe to lose, so a
// failure is logged and the rest goes on; only what the world itself gets wrong
// in sending is worth a line.
func (w *World) tell(ctx context.Context, plan control.Plan) error {
	for _, s := range plan.Sends {
		if err := w.send(ctx, s); err != nil {
			return err
		}
	}
	for _, l := range plan.Launches {
		w.launch(ctx, l)
	}
	for _, t := range plan.Terminations {
		if err := w.Instances.Terminate(ctx, t); err != nil {
			w.Log.Error("terminate instance", "node", t.Node, "instance", t.Instance, "why", t.Why, "error", err)
		}
	}
	if plan.Capacity != "" {
		w.ring(ctx, plan.Capacity)
	}
	return nil
}

// ring asks the fleet function to look at who waits, at most once a second. Who
// comes within that second is seen all the same: see [World.Capacity].
func (w *World) ring(ctx context.Context, reason string) {
	err := w.Store.Commit(ctx, []control.Change{control.Ring{Region: w.Settings.Region, At: w.Now()}})
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrBusy) {
		return // somebody else has rung, or many ring at this moment
	}
	if err == nil {
		err = w.Bus.RequestCapacity(ctx, w.Settings.Region, reason)
	}
	if err != nil {
		w.Log.Error("request capacity", "reason", reason, "error", err)
	}
}

// send posts a message to the first of the connections that takes it.
func (w *World) send(ctx context.Context, s control.Send) error {
	m := s.Message
	if s.Ticket != nil {
		sealed, err := w.Tickets.SealTicket(s.Ticket)
		if err != nil {
			return fmt.Errorf("seal ticket: %w", err)
		}
		offer := m.(events.Offer) // the only message with a ticket
		offer.Ticket = sealed
		m = offer
	}
	if s.Resume != nil {
		sealed, err := w.Tickets.SealTicket(s.Resume)
		if err != nil {
			return fmt.Errorf("seal resume ticket: %w", err)
		}
		m = withResume(m, sealed)
	}
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode %T: %w", m, err)
	}
	for _, to := range s.To {
		err := w.Push.Post(ctx, to, data)
		if err == nil {
			if s.Close {
				_ = w.Push.Close(ctx, to) // it may have closed by itself
			}
			return nil
		}
		level := slog.LevelInfo
		if !errors.Is(err, ErrGone) {
			level = slog.LevelWarn
		}
		w.Log.Log(ctx, level, "post failed", "message", fmt.Sprintf("%T", m), "connection", to, "error", err)
	}
	if s.Or != nil {
		return w.send(ctx, control.Send{To: []string{s.OrTo}, Message: s.Or})
	}
	return nil
}

// withResume puts a sealed resume ticket into one of the messages that have one.
func withResume(m events.Message, sealed string) events.Message {
	switch m := m.(type) {
	case events.Answer:
		m.Resume = sealed
		return m
	case events.Resume:
		m.Resume = sealed
		return m
	}
	return m
}

// log writes a decision in one line, with its inputs and what it cost.
func (w *World) log(name string, attempt int, began time.Time, u *Usage, d control.Decision) {
	if d.Choice == "" && attempt == 0 {
		return
	}
	w.Log.Info("decision", "step", name, "choice", d.Choice, "why", d.Why, "inputs", d.Inputs,
		"attempts", attempt+1, "tookMs", w.Now().Sub(began).Milliseconds(),
		"storeRequests", u.Requests, "readUnits", u.ReadUnits, "writeUnits", u.WriteUnits)
}
