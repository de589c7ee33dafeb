package sfu

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// apartEnv makes the test binary be one node, with one person on it, at the address
// that it holds.
const apartEnv = "SPILLWAY_TEST_APART"

// sight is what the person on a node sees, as its process says every so often.
type sight struct {
	Roster  map[string]events.Member
	Carried bool // a stream carries the other's camera
	Packets int  // that came on the streams for video
}

// TestApartNode is not a test: it is what TestNodesInNamespaces runs in each.
func TestApartNode(t *testing.T) {
	address := os.Getenv(apartEnv)
	if address == "" {
		t.Skip("only in a process of TestNodesInNamespaces")
	}
	ip := netip.MustParseAddr(address)
	name := "node-" + address
	w := newWorld(t, func(c *Config) { c.Node, c.Addresses, c.Pipes = name, []netip.Addr{ip}, true })
	p := w.join("of "+name, func(_ *events.Offer, o *lightpeer.Options) { o.Loopback = false })
	p.publishes(1, cameraOn)
	p.film("q")
	out := json.NewEncoder(os.Stdout)
	fmt.Println("ready")
	err := out.Encode(events.PipePeer{Node: name, Generation: 1, PipePort: w.PipePort(), Fingerprint: w.Fingerprint(),
		Addresses: []events.Address{{IP: address, Port: w.Port(), Scope: events.PrivateScope}}})
	if err != nil {
		t.Fatal(err)
	}
	orders := make(chan events.Assignment)
	go func() {
		defer close(orders)
		for in := json.NewDecoder(os.Stdin); ; {
			var a events.Assignment
			if in.Decode(&a) != nil {
				return // the parent has ended
			}
			orders <- a
		}
	}()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case a, ok := <-orders:
			if !ok {
				return
			}
			w.Assign(a)
		case <-tick.C:
		}
		p.mu.Lock()
		s := sight{Roster: p.people()}
		m, _ := last[events.Streams](p)
		for _, stream := range m.Streams {
			s.Carried = s.Carried || stream.Source == events.Camera
			s.Packets += len(p.packets[stream.Mid])
		}
		p.mu.Unlock()
		if err := out.Encode(s); err != nil {
			return
		}
	}
}

// apart is a node in a namespace of its own.
type apart struct {
	t     *testing.T
	space string
	peer  events.PipePeer
	in    io.WriteCloser

	mu  sync.Mutex
	now sight
}

func ip(t *testing.T, arguments ...string) {
	t.Helper()
	if out, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(arguments, " "), err, out)
	}
}

func newApart(t *testing.T, space, address string) *apart {
	t.Helper()
	a := &apart{t: t, space: space}
	cmd := exec.Command("ip", "netns", "exec", space, os.Args[0], "-test.run=^TestApartNode$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), apartEnv+"="+address)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		a.in, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	t.Cleanup(func() {
		_ = a.in.Close()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("node at %s: %v", address, err)
		}
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	said := ""
	for lines.Scan() && lines.Text() != "ready" {
		said += lines.Text() + "\n"
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &a.peer) != nil {
		close(read)
		t.Fatalf("the node at %s says %s", address, said)
	}
	go func() {
		defer close(read)
		for lines.Scan() {
			var s sight
			if json.Unmarshal(lines.Bytes(), &s) == nil {
				a.mu.Lock()
				a.now = s
				a.mu.Unlock()
			}
		}
	}()
	return a
}

func (a *apart) assign(epoch int64, peers ...events.PipePeer) {
	a.t.Helper()
	if err := json.NewEncoder(a.in).Encode(events.Assignment{Header: events.Head(events.ActionAssignment), Node: a.peer.Node, Generation: 1,
		Room: "room", Epoch: epoch, Peers: peers}); err != nil {
		a.t.Fatal(err)
	}
}

// until waits until the person sees what ok asks for, and returns how long that
// took.
func (a *apart) until(what string, ok func(sight) bool) time.Duration {
	a.t.Helper()
	begin := time.Now()
	for {
		a.mu.Lock()
		now := a.now
		a.mu.Unlock()
		if ok(now) {
			return time.Since(begin)
		}
		if time.Since(begin) > patience {
			a.t.Fatalf("%s: never came to pass at %s, which sees %+v", what, a.peer.Node, now)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// gets waits for further packets.
func (a *apart) gets(packets int) time.Duration {
	a.t.Helper()
	a.mu.Lock()
	had := a.now.Packets
	a.mu.Unlock()
	return a.until("pictures come", func(s sight) bool { return s.Carried && s.Packets >= had+packets })
}

// Two nodes in network namespaces of their own, at addresses of their own: the link
// between them is taken away and comes back.
func TestNodesInNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces take root")
	}
	one, two := fmt.Sprintf("spillway-%d-1", os.Getpid()), fmt.Sprintf("spillway-%d-2", os.Getpid())
	for _, space := range []string{one, two} {
		if out, err := exec.Command("ip", "netns", "add", space).CombinedOutput(); err != nil {
			t.Skipf("no namespaces here: %v: %s", err, out)
		}
		t.Cleanup(func() { ip(t, "netns", "delete", space) })
		ip(t, "-n", space, "link", "set", "lo", "up")
	}
	ip(t, "link", "add", "pipe", "netns", one, "type", "veth", "peer", "name", "pipe", "netns", two)
	for i, space := range []string{one, two} {
		ip(t, "-n", space, "address", "add", fmt.Sprintf("10.99.7.%d/24", i+1), "dev", "pipe")
		ip(t, "-n", space, "link", "set", "pipe", "up")
	}
	a, b := newApart(t, one, "10.99.7.1"), newApart(t, two, "10.99.7.2")
	a.assign(1, b.peer)
	b.assign(1, a.peer)
	a.gets(20)
	b.gets(20)
	ip(t, "-n", one, "link", "set", "pipe", "down")
	lost := func(other *apart) func(sight) bool {
		return func(s sight) bool {
			m := s.Roster["of "+other.peer.Node]
			return m.Unreachable && len(m.Tracks) == 0 && !s.Carried
		}
	}
	noticed := max(a.until("the cut shows", lost(b)), b.until("the cut shows", lost(a)))
	if noticed > 3500*time.Millisecond {
		t.Errorf("the cut was noticed after %v", noticed)
	}
	ip(t, "-n", one, "link", "set", "pipe", "up")
	healed := max(a.gets(10), b.gets(10))
	known := func(other *apart) func(sight) bool {
		return func(s sight) bool {
			m := s.Roster["of "+other.peer.Node]
			return !m.Unreachable && len(m.Tracks) == 1
		}
	}
	a.until("all is as before", known(b))
	b.until("all is as before", known(a))
	t.Logf("noticed after %v, pictures again after %v", noticed.Round(time.Millisecond), healed.Round(time.Millisecond))
}
