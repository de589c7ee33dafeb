package framed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// station is a port on loopback, with what came to it.
type station struct {
	*Port
	conns chan *Conn
	came  chan []byte
	idle  chan struct{} // take was called because the time was up
	ended chan error
}

func newStation(t *testing.T, change ...func(*Config)) *station {
	t.Helper()
	l, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), false)
	if err != nil {
		t.Fatal(err)
	}
	s := &station{conns: make(chan *Conn, MaxConns), came: make(chan []byte, 100), idle: make(chan struct{}, 100), ended: make(chan error, MaxConns)}
	cfg := Config{Listener: l, Size: 1500, Serve: func(c *Conn) {
		s.conns <- c
		s.ended <- c.Serve(func(n int) time.Time {
			for i := range n {
				b, from := c.Datagram(i)
				if from != c.Addr() {
					t.Errorf("a datagram is from %v, its connection stands at %v", from, c.Addr())
				}
				s.came <- bytes.Clone(b)
			}
			if n == 0 {
				s.idle <- struct{}{}
				return time.Time{}
			}
			return time.Now().Add(time.Millisecond)
		})
	}}
	for _, c := range change {
		c(&cfg)
	}
	s.Port = Open(cfg)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func (s *station) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.cfg.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func wait[T any](t *testing.T, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("%s: never", what)
	}
	return v
}

func frame(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func readFrame(t *testing.T, c net.Conn) []byte {
	t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDatagramsBothWays(t *testing.T) {
	s := newStation(t)
	c := s.dial(t)
	var stream []byte
	var sent [][]byte
	for i := range 40 {
		b := bytes.Repeat([]byte{byte(i)}, 1+i*37)
		sent, stream = append(sent, b), append(stream, frame(b)...)
	}
	// Cut anywhere, a length in the middle included.
	for at, n := 0, 1; at < len(stream); at, n = at+n, n*2+1 {
		if _, err := c.Write(stream[at:min(at+n, len(stream))]); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range sent {
		if got := wait(t, "a datagram", s.came); !bytes.Equal(got, want) {
			t.Fatalf("datagram %d: %d bytes of %d", i, len(got), len(want))
		}
	}
	wait(t, "the time that was asked for", s.idle)
	conn := wait(t, "a connection", s.conns)
	if s.Find(conn.Addr()) != conn || !Stands(conn.Addr()) {
		t.Errorf("the connection is not found at %v", conn.Addr())
	}
	if n := conn.Send([]byte("aaabbbc"), 3); n != 3 || !conn.Say([]byte("said")) {
		t.Errorf("%d datagrams were taken", n)
	}
	conn.Finish() // after what waits
	for _, want := range []string{"aaa", "bbb", "c", "said"} {
		if got := readFrame(t, c); string(got) != want {
			t.Errorf("got %q instead of %q", got, want)
		}
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection goes on: %v", err)
	}
	wait(t, "the end", s.ended)
	if conn.Send([]byte("x"), 1) != 0 || conn.Say([]byte("x")) {
		t.Error("an ended connection takes more")
	}
}

func TestWhatIsNoDatagramEndsTheConnection(t *testing.T) {
	s := newStation(t)
	c := s.dial(t)
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, "the end", s.ended); err != ErrFrame {
		t.Errorf("it ended with %v", err)
	}
	if _, err := io.ReadAll(c); late(err) {
		t.Errorf("the connection goes on: %v", err)
	}
}

func late(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// A connection that nobody reads takes what it has room for and no more, at once;
// for what is said some room is left.
func TestFullQueue(t *testing.T) {
	s := newStation(t)
	c := s.dial(t)
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := c.Write(frame([]byte("hello"))); err != nil {
		t.Fatal(err)
	}
	conn := wait(t, "a connection", s.conns)
	data := make([]byte, 10*1000)
	taken, refused := 0, 0
	for refused < 1000 {
		n := conn.Send(data, 1000)
		taken, refused = taken+n, refused+10-n
		if taken > 20_000 {
			t.Fatal("the queue has no end")
		}
	}
	conn.mu.Lock()
	unsent := conn.unsent
	conn.mu.Unlock()
	if unsent > QueueBytes || unsent < QueueBytes/2 {
		t.Errorf("%d bytes wait", unsent)
	}
	said := 0
	for conn.Say(make([]byte, 1000)) {
		said++
	}
	if said < queueReserve/1002-1 {
		t.Errorf("%d words found room", said)
	}
}

// Nobody in particular may keep connections open, or take all places.
func TestStrangers(t *testing.T) {
	s := newStation(t, func(c *Config) { c.FirstWithin, c.QuietAfter = 400*time.Millisecond, 400*time.Millisecond })
	begun := time.Now()
	var last net.Conn
	for range maxUnspokenEach {
		last = s.dial(t)
	}
	for range maxUnspokenEach {
		wait(t, "a connection", s.conns)
	}
	if time.Since(begun) < 300*time.Millisecond { // else the first are gone, and there is room
		if c, err := net.Dial("tcp", s.cfg.Listener.Addr().String()); err == nil { // it may be refused sooner
			_ = c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 1)); err == nil || late(err) {
				t.Errorf("one more is taken: %v", err)
			}
			c.Close()
		}
	}
	if _, err := last.Read(make([]byte, 1)); err == nil || late(err) {
		t.Errorf("a connection without a word stays: %v", err)
	}
	for range maxUnspokenEach {
		wait(t, "the end", s.ended)
	}
	// Now there is room again; a word keeps a connection, until no more come.
	c := s.dial(t)
	conn := wait(t, "a connection", s.conns)
	for at, begun := time.Now(), time.Now(); time.Since(begun) < 900*time.Millisecond; {
		if !conn.Say([]byte("word")) && time.Since(at) < 300*time.Millisecond { // else this machine was too slow to say it
			t.Fatal("a connection ended that is spoken on")
		}
		at = time.Now()
		time.Sleep(50 * time.Millisecond) // the sweep is what is waited for
	}
	_, _ = io.Copy(io.Discard, c)
	wait(t, "the end", s.ended)
	for deadline := time.Now().Add(patience); s.Find(conn.Addr()) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("an ended connection is found")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent != 0 || len(s.unspoken) != 0 {
		t.Errorf("%d connections count that are gone", s.silent)
	}
}

func TestStandIns(t *testing.T) {
	for _, six := range []bool{false, true} {
		seen := map[netip.AddrPort]bool{}
		for life := uint32(1); life < 1<<24; life = life*3 + 1 {
			for _, slot := range []int{0, MaxConns - 1} {
				a := standIn(six, life, slot)
				if !Stands(a) || seen[a] || a.Addr().Is4() == six || a.Addr().IsUnspecified() {
					t.Errorf("life %d of slot %d stands at %v", life, slot, a)
				}
				seen[a] = true
			}
		}
	}
	for _, a := range []string{"1.0.0.0:1", "127.0.0.1:80", "100.0.0.1:1", "[::1]:1", "[101::1]:1", "[100:0:0:1::1]:1", "[2001:db8::1]:9"} {
		if Stands(netip.MustParseAddrPort(a)) {
			t.Errorf("%s stands for a connection", a)
		}
	}
}
