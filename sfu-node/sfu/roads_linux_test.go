package sfu

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"golang.org/x/sys/unix"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// Addresses of the network that [roads] makes: people's side, and the node's.
const (
	homeAt    = "10.77.1.2"
	elsewhere = "10.77.1.3"
	homeGate  = "10.77.1.1"
	nodeAt    = "10.77.2.2"
	nodeGate  = "10.77.2.1"
)

// roadsEnv names the namespaces to the test binary that runs on the people's side.
const roadsEnv = "SPILLWAY_TEST_ROADS"

// roads are three network namespaces in a row: people, a router, the node.
type roads struct{ home, router, node string }

// onRoads runs the test again on the people's side of new roads, and returns them
// there; ok is false in the process that only makes them.
func onRoads(t *testing.T) (r roads, ok bool) {
	t.Helper()
	if names := strings.Fields(os.Getenv(roadsEnv)); len(names) == 3 {
		return roads{names[0], names[1], names[2]}, true
	}
	r = roads{fmt.Sprintf("spw-home-%d", os.Getpid()), fmt.Sprintf("spw-way-%d", os.Getpid()), fmt.Sprintf("spw-node-%d", os.Getpid())}
	if out, err := exec.Command("ip", "netns", "add", r.home).CombinedOutput(); err != nil {
		t.Skipf("needs to make network namespaces: %v: %s", err, out)
	}
	t.Cleanup(func() { ip(t, "netns", "del", r.home) })
	for _, space := range []string{r.router, r.node} {
		ip(t, "netns", "add", space)
		t.Cleanup(func() { ip(t, "netns", "del", space) })
	}
	for _, space := range []string{r.home, r.router, r.node} {
		ip(t, "-n", space, "link", "set", "lo", "up")
	}
	for _, side := range []struct{ space, name, at, gate string }{{r.home, "home", homeAt, homeGate}, {r.node, "node", nodeAt, nodeGate}} {
		ip(t, "link", "add", "media", "netns", side.space, "type", "veth", "peer", "name", side.name, "netns", r.router)
		ip(t, "-n", side.space, "address", "add", side.at+"/24", "dev", "media")
		ip(t, "-n", r.router, "address", "add", side.gate+"/24", "dev", side.name)
		ip(t, "-n", side.space, "link", "set", "media", "up")
		ip(t, "-n", r.router, "link", "set", side.name, "up")
		ip(t, "-n", side.space, "route", "add", "default", "via", side.gate)
	}
	if out, err := exec.Command("ip", "netns", "exec", r.router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward").CombinedOutput(); err != nil {
		t.Skipf("needs a namespace that routes: %v: %s", err, out)
	}
	cmd := exec.Command("ip", "netns", "exec", r.home, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), roadsEnv+"="+strings.Join([]string{r.home, r.router, r.node}, " "))
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
		t.Errorf("on the people's side: %v\n%s", err, out)
	}
	return r, false
}

// dropUDP makes the router drop everything that is UDP, and tell nobody.
func (r roads) dropUDP(t *testing.T) {
	t.Helper()
	ip(t, "-n", r.router, "rule", "add", "pref", "10", "ipproto", "udp", "blackhole")
}

// move takes the people's address away and gives them another one.
func (r roads) move(t *testing.T) {
	t.Helper()
	ip(t, "-n", r.home, "address", "del", homeAt+"/24", "dev", "media")
	ip(t, "-n", r.home, "address", "add", elsewhere+"/24", "dev", "media")
	ip(t, "-n", r.home, "route", "replace", "default", "via", homeGate)
}

// atNode does something, all on this goroutine, on the node's side: sockets stay
// where they are opened.
func (r roads) atNode(t *testing.T, do func()) {
	t.Helper()
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there, err := os.Open("/var/run/netns/" + r.node)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatal(err) // the thread, which is locked, ends with the test
	}
	do()
	if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	runtime.UnlockOSThread()
}

// world makes a node on its side of the roads.
func (r roads) world(t *testing.T) (w *world) {
	t.Helper()
	r.atNode(t, func() {
		w = newWorld(t, func(c *Config) { c.Addresses, c.TCP = []netip.Addr{netip.MustParseAddr(nodeAt)}, true })
	})
	return w
}

// beside makes somebody be on the node's side.
func (r roads) beside(t *testing.T) func(*events.Offer, *lightpeer.Options) {
	t.Helper()
	return func(_ *events.Offer, o *lightpeer.Options) {
		r.atNode(t, func() {
			conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(nodeAt)})
			if err != nil {
				t.Fatal(err)
			}
			o.Loopback, o.Socket = false, conn
		})
	}
}

func outside(_ *events.Offer, o *lightpeer.Options) { o.Loopback = false }

// Where a network drops UDP, without a word, people get through by TCP, and meet
// those who have UDP.
func TestUDPDroppedOnTheWay(t *testing.T) {
	r, ok := onRoads(t)
	if !ok {
		return
	}
	w := r.world(t)
	r.dropUDP(t)
	anna := w.join("anna", outside, func(_ *events.Offer, o *lightpeer.Options) {
		o.Networks = []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeTCP4}
	})
	checkWay(t, w, "anna", webrtc.NetworkTypeTCP4)
	ben := w.join("ben", r.beside(t))
	checkWay(t, w, "ben", webrtc.NetworkTypeUDP4)
	for _, p := range []*person{anna, ben} {
		p.publishes(1, micOn, cameraOn)
		p.film("q", "h")
	}
	anna.flows("ben", 20, 20)
	ben.flows("anna", 20, 20)
}

// Who gets another address comes back on a new connection to the same seat, while the
// node still holds the old one. The others notice nothing but the time that it took.
func TestAnotherAddressKeepsTheSeat(t *testing.T) {
	r, ok := onRoads(t)
	if !ok {
		return
	}
	w := r.world(t)
	old := w.join("anna", outside)
	ben := w.join("ben", r.beside(t))
	old.publishes(1, micOn, cameraOn)
	old.film("q", "h")
	ben.publishes(1, micOn, cameraOn)
	ben.film("q", "h")
	old.flows("ben", 0, 0)
	p, _ := w.peer(seat{"room", "key-anna"})
	if at := sendsTo(p); at.Addr().String() != homeAt {
		t.Fatalf("anna is at %v", at)
	}
	ben.flows("anna", 0, 0)
	r.move(t)
	moved := time.Now()
	video, audio := ben.flows("anna", 0, -10)
	anna := w.join("anna", outside, again)
	anna.publishes(1, micOn, cameraOn)
	anna.film("q", "h")
	ben.until("anna's new connection", func() bool { return inherited(w) })
	ben.flows("anna", video, audio)
	anna.flows("ben", 0, 0)
	t.Logf("seen and heard again %v after the address was taken away", time.Since(moved))
	p, _ = w.peer(seat{"room", "key-anna"})
	if at := sendsTo(p); at.Addr().String() != elsewhere {
		t.Errorf("anna is at %v after the move", at)
	}
	ben.mu.Lock()
	defer ben.mu.Unlock()
	for _, m := range ben.messages {
		if d, ok := m.(events.Delta); ok && len(d.Gone) > 0 {
			t.Errorf("ben is told that somebody has left: %+v", d)
		}
	}
	select {
	case d := <-w.left:
		t.Errorf("a seat was given up: %+v", d)
	default:
	}
}

func sendsTo(p *Peer) netip.AddrPort {
	p.egress.mu.Lock()
	defer p.egress.mu.Unlock()
	return p.egress.to
}
