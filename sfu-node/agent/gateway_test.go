package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// gateway is a control plane that says what a test makes it say.
type gateway struct {
	t      *testing.T
	server *httptest.Server
	got    chan arrival   // everything but hellos and heartbeats
	beats  chan arrival   // heartbeats
	hellos chan arrival   // hellos
	gone   chan int       // slots whose socket has ended
	answer func(*arrival) // what to do about hello and heartbeat; the default when nil

	mu      sync.Mutex
	status  int // refuse handshakes with this; 0 takes them
	lease   time.Duration
	beat    time.Duration
	mute    bool // heartbeats are not answered
	dials   int
	tokens  []string
	sockets map[int]*websocket.Conn
}

// arrival is a message with the socket that it came on.
type arrival struct {
	events.Message
	conn *websocket.Conn
	g    *gateway
}

const generation = 7

func newGateway(t *testing.T) *gateway {
	g := &gateway{
		t: t, got: make(chan arrival, 100), beats: make(chan arrival, 1000), hellos: make(chan arrival, 100), gone: make(chan int, 100),
		lease: time.Minute, beat: 100 * time.Millisecond, sockets: map[int]*websocket.Conn{},
	}
	g.server = httptest.NewServer(http.HandlerFunc(g.serve))
	t.Cleanup(g.server.Close)
	return g
}

func (g *gateway) url() string { return "ws" + strings.TrimPrefix(g.server.URL, "http") + "/ws" }

func (g *gateway) serve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.dials++
	g.tokens = append(g.tokens, r.URL.Query().Get("access_token"))
	status := g.status
	g.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(events.MaxFrame)
	slot := -1
	for {
		_, raw, err := conn.Read(r.Context())
		if err != nil {
			g.gone <- slot
			return
		}
		m, err := events.Decode(events.FromNode, raw)
		if err != nil {
			g.t.Errorf("the node sent %s: %v", raw, err)
			continue
		}
		a := arrival{m, conn, g}
		switch m := m.(type) {
		case events.Hello:
			slot = m.Slot
			g.mu.Lock()
			g.sockets[slot] = conn
			g.mu.Unlock()
			g.hellos <- a
			g.welcome(a, m)
		case events.Heartbeat:
			g.beats <- a
			g.renew(a, m)
		default:
			g.got <- a
		}
	}
}

func (g *gateway) welcome(a arrival, h events.Hello) {
	if g.answer != nil {
		g.answer(&a)
		return
	}
	g.mu.Lock()
	w := events.Welcome{Header: events.Head(events.ActionWelcome), Node: h.Node, Boot: h.Boot, Slot: h.Slot,
		Generation: generation, HeartbeatMs: g.beat.Milliseconds(), LeaseMs: g.lease.Milliseconds()}
	g.mu.Unlock()
	a.reply(w)
}

func (g *gateway) renew(a arrival, h events.Heartbeat) {
	g.mu.Lock()
	mute, lease := g.mute, g.lease
	g.mu.Unlock()
	if !mute {
		a.reply(events.Renewed{Header: events.Head(events.ActionRenewed), Node: h.Node, Generation: h.Generation, Seq: h.Seq, LeaseMs: lease.Milliseconds()})
	}
}

func (a *arrival) reply(m events.Message) {
	raw, err := json.Marshal(m)
	if err != nil {
		a.g.t.Error(err)
	}
	_ = a.conn.Write(context.Background(), websocket.MessageText, raw)
}

// send posts a message on a slot's socket, once there is one.
func (g *gateway) send(slot int, m events.Message) {
	g.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		conn := g.sockets[slot]
		g.mu.Unlock()
		if conn != nil {
			(&arrival{conn: conn, g: g}).reply(m)
			return
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("slot %d never said hello", slot)
		}
	}
}

// set changes what the gateway does.
func (g *gateway) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// take waits for the next message on a channel.
func take[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: never came", what)
	}
	panic("unreachable")
}

// takeGot waits for the next message of a type.
func takeGot[M events.Message](t *testing.T, g *gateway) M {
	t.Helper()
	m, ok := take(t, "message", g.got).Message.(M)
	if !ok {
		t.Fatalf("got another message than %T", m)
	}
	return m
}

// fakeMedia answers offers as told and keeps what it was asked.
type fakeMedia struct {
	mu      sync.Mutex
	joins   []events.Offer
	removes []string
	moves   []string
	deeds   []string
	assigns []events.Assignment
	answer  string
	err     error
	absent  bool
	report  sfu.Report
	figures []events.RoomFigures
}

func (f *fakeMedia) Join(_ context.Context, o events.Offer, refuse *events.Error) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joins = append(f.joins, o)
	if refuse != nil {
		return "", refuse
	}
	return f.answer, f.err
}

func (f *fakeMedia) Remove(room, key string, _ int64, code events.Code) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removes = append(f.removes, room+"/"+key+"/"+string(code))
	return f.absent
}

func (f *fakeMedia) Move(room string, keys []string, press bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moves = append(f.moves, fmt.Sprintf("%s/%s/%v", room, strings.Join(keys, ","), press))
}

func (f *fakeMedia) did(what ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deeds = append(f.deeds, fmt.Sprintln(what...))
}

func (f *fakeMedia) Recast(room, key string, revision int64, role events.Role) {
	f.did("recast", room, key, revision, role)
}

func (f *fakeMedia) MuteTracks(room, key string, sources []events.Source) {
	f.did("mute", room, key, sources)
}

func (f *fakeMedia) Describe(room, key, metadata string) { f.did("describe", room, key, metadata) }

func (f *fakeMedia) DescribeRoom(room string, m events.RoomMetadata) {
	f.did("describe room", room, m.Text, m.Revision)
}

func (f *fakeMedia) End(room string, code events.Code) { f.did("end", room, code) }

func (f *fakeMedia) Moderated(m events.Moderated) { f.did("moderated", m.Room, m.By, m.ID) }

func (f *fakeMedia) Assign(a events.Assignment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.assigns = append(f.assigns, a)
}

func (f *fakeMedia) RoomFigures(time.Duration) []events.RoomFigures {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.figures
}

func (f *fakeMedia) Report() sfu.Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.report
}

// run starts an agent; ended gets what its Run returns.
func run(t *testing.T, g *gateway, media Media, change ...func(*Config)) (a *Agent, ended chan error, stop context.CancelFunc) {
	t.Helper()
	cfg := Config{
		URL: g.url(), Token: "first-token", Node: "node-1", Boot: "boot-123456",
		Addresses:   []events.Address{{IP: "127.0.0.1", Port: 7882, Scope: events.PublicScope}},
		Fingerprint: strings.TrimSuffix(strings.Repeat("AB:", 32), ":"), Build: "test",
		Log:        slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
		RetryFirst: 5 * time.Millisecond, RetryMost: 50 * time.Millisecond, MetricsEvery: time.Hour,
	}
	for _, c := range change {
		c(&cfg)
	}
	a = New(cfg, media)
	ctx, stop := context.WithCancel(context.Background())
	ended = make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		a.Close(ctx)
	})
	return a, ended, stop
}

func quietLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}
