package burst

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"
)

func open(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadBuffer(4 << 20)
	return c
}

// taken is a socket as a node has it.
func taken(t testing.TB) *Conn {
	t.Helper()
	c, err := Take(open(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func address(c interface{ LocalAddr() net.Addr }) netip.AddrPort {
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// pieces makes n datagrams of a size that say what they are, the last shorter.
func pieces(tag byte, n, size, last int) (data []byte, want [][]byte) {
	for i := range n {
		if i == n-1 {
			size = last
		}
		p := bytes.Repeat([]byte{tag}, size)
		p[0] = byte(i)
		want = append(want, p)
		data = append(data, p...)
	}
	return data, want
}

func arrive(t *testing.T, c *net.UDPConn, want [][]byte) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 2000)
	for i, w := range want {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("datagram %d of %d: %v", i, len(want), err)
		}
		if !bytes.Equal(buf[:n], w) {
			t.Fatalf("datagram %d: %d bytes of %v, expected %d of %v", i, n, buf[:2], len(w), w[:2])
		}
	}
}

// What arrives is the same, segmented or not, however many runs there are.
func TestWrite(t *testing.T) {
	for name, plain := range map[string]bool{"as the system can": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			s := NewSocket(taken(t), plain)
			t.Logf("segmented: %v", s.Segmented())
			w, err := s.NewWriter()
			if err != nil {
				t.Fatal(err)
			}
			var runs []Run
			var to []*net.UDPConn
			var wants [][][]byte
			packets := 0
			for i := range 70 {
				c := open(t)
				n := 1 + i%10
				data, want := pieces(byte(i), n, 1200, 1200-i)
				runs = append(runs, Run{To: address(c), Data: data, Size: 1200})
				if n == 1 {
					runs[i].Size = len(data)
				}
				to, wants, packets = append(to, c), append(wants, want), packets+n
			}
			if sent := w.Write(runs); sent != packets {
				t.Errorf("%d of %d datagrams were taken", sent, packets)
			}
			for i, c := range to {
				arrive(t, c, wants[i])
			}
		})
	}
}

// A run that the kernel does not segment goes out plain; nothing is lost or sent
// twice. Too many segments are refused as too small a path is.
func TestRunRefused(t *testing.T) {
	s := NewSocket(taken(t), false)
	if !s.Segmented() {
		t.Skip("this system does not segment")
	}
	checkAll(t, s, 200, nil)
	if !s.Segmented() {
		t.Error("one run that is refused stops all segmenting")
	}
}

func checkAll(t *testing.T, s *Socket, segments int, change func(*Writer)) {
	t.Helper()
	w, err := s.NewWriter()
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(w)
	}
	a, b, c := open(t), open(t), open(t)
	first, wantFirst := pieces(1, 3, 100, 50)
	many, wantMany := pieces(2, segments, 20, 10)
	third, wantThird := pieces(3, 2, 300, 300)
	runs := []Run{{address(a), first, 100}, {address(b), many, 20}, {address(c), third, 300}}
	if sent := w.Write(runs); sent != 5+segments {
		t.Errorf("%d of %d datagrams were taken", sent, 5+segments)
	}
	arrive(t, a, wantFirst)
	arrive(t, b, wantMany)
	arrive(t, c, wantThird)
}

// One destination that cannot be reached does not keep others from theirs.
func TestUnreachable(t *testing.T) {
	s := NewSocket(taken(t), false)
	w, err := s.NewWriter()
	if err != nil {
		t.Fatal(err)
	}
	c := open(t)
	data, want := pieces(1, 3, 100, 100)
	nowhere := netip.MustParseAddrPort("203.0.113.9:9") // not from a loopback socket
	if sent := w.Write([]Run{{nowhere, data[:100], 100}, {address(c), data, 100}}); sent != 3 {
		t.Errorf("%d datagrams were taken, expected 3", sent)
	}
	arrive(t, c, want)
}

func TestWriteDoesNotAllocate(t *testing.T) {
	s := NewSocket(taken(t), false)
	w, err := s.NewWriter()
	if err != nil {
		t.Fatal(err)
	}
	data, _ := pieces(1, 5, 1200, 1200)
	runs := []Run{{address(open(t)), data, 1200}, {address(open(t)), data, 1200}}
	if n := testing.AllocsPerRun(100, func() { w.Write(runs) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct {
		name  string
		plain bool
	}{{"segmented", false}, {"plain", true}} {
		b.Run(c.name, func(b *testing.B) {
			s := NewSocket(taken(b), c.plain)
			w, err := s.NewWriter()
			if err != nil {
				b.Fatal(err)
			}
			data, _ := pieces(1, 5, 1240, 1240)
			var runs []Run
			for range 20 {
				runs = append(runs, Run{address(open(b)), data, 1240})
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n += w.Write(runs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
		})
	}
}
