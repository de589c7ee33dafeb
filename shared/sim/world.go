package sim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// World is everything that a step touches, in memory and on a clock of its own.
type World struct {
	*step.World
	Store *Store
	Mail  *Mail
	EC2   *EC2
	Bus   *Bus

	mu     sync.Mutex
	now    time.Time
	spread uint64
}

// NewWorld returns an empty world at the given time.
func NewWorld(now time.Time, set control.Settings) *World {
	w := &World{Store: NewStore(), Mail: NewMail(), Bus: &Bus{}, now: now}
	w.EC2 = &EC2{now: w.Now}
	w.World = &step.World{
		Store: w.Store, Push: w.Mail, Instances: w.EC2, Bus: w.Bus, Tickets: tickets{}, Settings: set,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: w.Now,
		Spread: func() uint64 {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.spread = w.spread*6364136223846793005 + 1442695040888963407
			return w.spread >> 33
		},
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	return w
}

// Now is the world's time.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Pass lets time go by.
func (w *World) Pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Mail keeps what was posted to each connection.
type Mail struct {
	mu    sync.Mutex
	gone  map[string]bool
	inbox map[string][][]byte
}

// NewMail returns a Mail in which every connection is open.
func NewMail() *Mail { return &Mail{gone: map[string]bool{}, inbox: map[string][][]byte{}} }

// Post implements [step.Push].
func (m *Mail) Post(ctx context.Context, connection string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone[connection] {
		return step.ErrGone
	}
	m.inbox[connection] = append(m.inbox[connection], data)
	return ctx.Err()
}

// Close implements [step.Push].
func (m *Mail) Close(_ context.Context, connection string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone[connection] = true
	return nil
}

// Take returns what was posted to a connection since the last call, decoded as
// what crosses the given border, and an error for what does not.
func (m *Mail) Take(connection string, b events.Border) ([]events.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []events.Message
	for _, data := range m.inbox[connection] {
		msg, err := events.Decode(b, data)
		if err != nil {
			return out, err
		}
		out = append(out, msg)
	}
	delete(m.inbox, connection)
	return out, nil
}

// Bus counts requests for capacity.
type Bus struct {
	mu       sync.Mutex
	requests int
}

// RequestCapacity implements [step.Bus].
func (b *Bus) RequestCapacity(context.Context, string, string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	return nil
}

// Take returns how many requests came since the last call.
func (b *Bus) Take() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.requests
	b.requests = 0
	return n
}

// EC2 starts and ends instances that do nothing. Id and attempt of a launch are
// its client token: asking twice is asking once.
type EC2 struct {
	mu        sync.Mutex
	now       func() time.Time
	instances []control.Instance
	tokens    map[string]string
	// Refuse, when set, is the definite refusal that every launch gets.
	Refuse fleet.Refusal
	// Empty are pools that refuse a launch for lack of capacity.
	Empty map[fleet.Pool]bool
}

// Launch implements [step.Instances].
func (e *EC2) Launch(_ context.Context, l fleet.Launch) control.LaunchOutcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Refuse != "" {
		return control.LaunchOutcome{Refusal: e.Refuse}
	}
	if e.Empty[fleet.Pool{Type: l.Type, Zone: l.Zone}] {
		return control.LaunchOutcome{Refusal: fleet.PoolEmpty, Code: "InsufficientInstanceCapacity"}
	}
	token := string(l.ID) + string(rune('0'+l.Attempt))
	if id, ok := e.tokens[token]; ok {
		return control.LaunchOutcome{Instance: id}
	}
	if e.tokens == nil {
		e.tokens = map[string]string{}
	}
	id := "i-" + token
	e.tokens[token] = id
	e.instances = append(e.instances, control.Instance{ID: id, Node: l.ID, LaunchedAt: e.now()})
	return control.LaunchOutcome{Instance: id}
}

// Terminate implements [step.Instances].
func (e *EC2) Terminate(_ context.Context, t control.Termination) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.instances {
		if e.instances[i].ID == t.Instance || t.Node != "" && e.instances[i].Node == t.Node {
			e.instances[i].Gone = true
		}
	}
	return nil
}

// List implements [step.Instances].
func (e *EC2) List(context.Context) ([]control.Instance, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.instances), nil
}

// Living returns the nodes whose instances run.
func (e *EC2) Living() []room.NodeID {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []room.NodeID
	for _, i := range e.instances {
		if !i.Gone {
			ids = append(ids, i.Node)
		}
	}
	return ids
}

// tickets are not sealed here: who could forge one is not in this world.
type tickets struct{}

func (tickets) SealTicket(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}

func (tickets) OpenTicket(sealed string, into any) error {
	if err := json.Unmarshal([]byte(sealed), into); err != nil {
		return errors.New("not a ticket")
	}
	return nil
}
