package pipe_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
	"github.com/spillway-sfu/spillway/sfu-node/pipe/pipetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

var local = netip.MustParseAddr("127.0.0.1")

// node is a mesh and what happened on it.
type node struct {
	*pipe.Mesh
	t     testing.TB
	name  string
	print string

	mu      sync.Mutex
	changed chan struct{}
	link    *pipe.Link // nil while there is none
	ups     int
	said    []pipe.Message
}

func (n *node) note(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *node) Up(l *pipe.Link) { n.note(func() { n.link = l; n.ups++ }) }
func (n *node) Down(l *pipe.Link) {
	n.note(func() {
		if n.link == l {
			n.link = nil
		}
	})
}
func (n *node) Take(_ *pipe.Link, m pipe.Message) { n.note(func() { n.said = append(n.said, m) }) }

// until waits until ok, which runs under the node's lock, is true.
func (n *node) until(what string, ok func() bool) {
	n.t.Helper()
	deadline := time.After(patience)
	for {
		n.mu.Lock()
		done, changed := ok(), n.changed
		n.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			n.t.Fatalf("%s: never came to pass for %s", what, n.name)
		}
	}
}

func (n *node) joined() *pipe.Link {
	n.t.Helper()
	var l *pipe.Link
	n.until("a pipe stands", func() bool { l = n.link; return l != nil })
	return l
}

func certificate(t testing.TB) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

func newNode(t testing.TB, name string, change ...func(*pipe.Config)) *node {
	t.Helper()
	own, print := certificate(t)
	n := &node{t: t, name: name, print: print, changed: make(chan struct{})}
	cfg := pipe.Config{
		Node: name, Certificate: own, Bind: netip.AddrPortFrom(local, 0), Handler: n,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	n.Mesh, err = pipe.Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func (n *node) peer(port int) pipe.Peer {
	return pipe.Peer{Node: n.name, Generation: 1, Fingerprint: n.print, Addresses: []netip.AddrPort{netip.AddrPortFrom(local, uint16(port))}}
}

// pair is two nodes with a road between them.
func pair(t *testing.T, change ...func(*pipe.Config)) (a, b *node, road *pipetest.Road) {
	a, b = newNode(t, "a", change...), newNode(t, "b", change...)
	road = pipetest.New(t, a.Port(), b.Port())
	a.Assign([]pipe.Peer{b.peer(road.B())})
	b.Assign([]pipe.Peer{a.peer(road.A())})
	a.joined()
	b.joined()
	return a, b, road
}

func TestWhatIsSaidArrivesInOrder(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t)
	for i := range 100 {
		a.joined().Tell(pipe.Open{Room: fmt.Sprint(i), Epoch: int64(i)})
		b.joined().Tell(pipe.Roster{Room: "r", Gone: []string{fmt.Sprint(i)}})
	}
	b.until("everything is here", func() bool { return len(b.said) == 100 })
	a.until("everything is here", func() bool { return len(a.said) == 100 })
	for i := range 100 {
		if m := b.said[i].(pipe.Open); m.Room != fmt.Sprint(i) || m.Epoch != int64(i) {
			t.Fatalf("message %d is %+v", i, m)
		}
		if m := a.said[i].(pipe.Roster); m.Gone[0] != fmt.Sprint(i) {
			t.Fatalf("message %d is %+v", i, m)
		}
	}
}

// Every kind of message comes back as what it was.
func TestMessages(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t)
	name := pipe.Publication{Identity: "ada", Source: events.Camera, Revision: 3}
	all := []pipe.Message{
		pipe.Open{Room: "r", Epoch: 2}, pipe.Shut{Room: "r"},
		pipe.Roster{Room: "r", Fresh: true, Complete: true, Gone: []string{"bob"}, Members: []pipe.Member{{
			Member:   events.Member{Identity: "ada", Role: events.Publisher, Node: "a", JoinedMs: 1, Tracks: []events.Track{{Source: events.Camera}}},
			Revision: 3, Path: []string{"a"}, Published: map[events.Source]pipe.Published{events.Camera: {CSRC: 7, Revision: 3}}}}},
		pipe.Layers{Room: "r", Publications: []pipe.Flowing{{Publication: name, Layers: []pipe.Layer{{Index: 1, Height: 360, Kbps: 400}}}}},
		pipe.Speaking{Room: "r", Speakers: []events.Speaker{{Participant: "ada", Level: 20}}, Loudest: []string{"ada"}},
		pipe.Wants{Room: "r", Wants: []pipe.Want{{Publication: name, Layer: 2, Flow: 9}}},
		pipe.Key{Room: "r", Publication: name, Layer: 2, First: true},
		pipe.Clocks{Room: "r", Clocks: []pipe.Clock{{Publication: name, Layer: 1, Nanos: 1 << 60, Timestamp: 1 << 31}}},
	}
	for _, m := range all {
		a.joined().Tell(m)
	}
	b.until("everything is here", func() bool { return len(b.said) == len(all) })
	for i, want := range all {
		if got := b.said[i]; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) || got.About() != "r" {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestWhoIsNotNamedIsRefused(t *testing.T) {
	t.Parallel()
	a, b, c := newNode(t, "a"), newNode(t, "b"), newNode(t, "c")
	// b knows nobody; then it knows c, whose name a does not have; then another
	// certificate for a.
	a.Assign([]pipe.Peer{b.peer(b.Port())})
	refused := func(what string, more int64) {
		t.Helper()
		had := b.Refusals()
		deadline := time.Now().Add(patience)
		for b.Refusals() < had+more {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d were refused", what, b.Refusals())
			}
			time.Sleep(time.Millisecond)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.ups > 0 {
			t.Fatalf("%s: the pipe came up", what)
		}
	}
	refused("nobody is named", 2)
	b.Assign([]pipe.Peer{c.peer(c.Port())})
	refused("somebody else is named", 2)
	other := a.peer(a.Port())
	other.Fingerprint = c.print
	b.Assign([]pipe.Peer{other})
	refused("another certificate is named", 2)
	b.Assign([]pipe.Peer{a.peer(a.Port())})
	a.joined()
	b.joined()
}

// The one who dials refuses too: b is not who answers.
func TestAnImpostorIsNotJoined(t *testing.T) {
	t.Parallel()
	a, b, c := newNode(t, "a"), newNode(t, "b"), newNode(t, "c")
	c.Assign([]pipe.Peer{a.peer(a.Port())})
	b.Assign([]pipe.Peer{a.peer(a.Port())})
	a.Assign([]pipe.Peer{{Node: "b", Generation: 1, Fingerprint: b.print, Addresses: []netip.AddrPort{
		netip.AddrPortFrom(local, uint16(c.Port())), netip.AddrPortFrom(local, uint16(b.Port()))}}})
	a.joined() // at the second address
	b.joined()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ups > 0 {
		t.Error("the impostor has a pipe")
	}
}

func TestPartedNodesAreCutAtOnce(t *testing.T) {
	t.Parallel()
	a, b, road := pair(t)
	b.Assign(nil)
	b.until("the pipe is cut", func() bool { return b.link == nil })
	a.until("the pipe is cut", func() bool { return a.link == nil })
	b.Assign([]pipe.Peer{a.peer(road.A())})
	a.joined()
	b.joined()
	// A later life of a node has another certificate: the pipe to the earlier is cut.
	later := a.peer(road.A())
	later.Generation, later.Fingerprint = 2, b.print
	b.Assign([]pipe.Peer{later})
	b.until("the pipe to an earlier life is cut", func() bool { return b.link == nil })
}

// A road that carries nothing any more is noticed on both sides within three
// seconds, and the pipe stands again soon after it carries.
func TestCutAndHeal(t *testing.T) {
	t.Parallel()
	a, b, road := pair(t)
	road.Cut()
	cut := time.Now()
	a.until("the cut is noticed", func() bool { return a.link == nil })
	b.until("the cut is noticed", func() bool { return b.link == nil })
	if took := time.Since(cut); took > 3500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	road.Heal()
	healed := time.Now()
	a.joined().Tell(pipe.Open{Room: "again"})
	b.until("it carries again", func() bool { return len(b.said) == 1 })
	t.Logf("noticed in %v, healed in %v", healed.Sub(cut).Round(time.Millisecond), time.Since(healed).Round(time.Millisecond))
}
