package framed

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// Whatever comes on a connection, cut wherever the network cuts it, what is handed on is
// what its lengths say, up to the first that says too much.
func FuzzFrames(f *testing.F) {
	f.Add(append(frame([]byte("one")), frame(bytes.Repeat([]byte{7}, 1500))...), uint8(3))
	f.Add(append(frame(nil), 0xff, 0xff, 1, 2), uint8(1))
	f.Add([]byte{0}, uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		const size = 1500
		c := &Conn{port: &Port{cfg: Config{Size: size}}, raw: make([]byte, rawBytes)}
		var got [][]byte
		take := func(n int) time.Time {
			for i := range n {
				b, _ := c.Datagram(i)
				got = append(got, bytes.Clone(b))
			}
			return time.Time{}
		}
		var failed error
		for at := 0; at < len(stream) && failed == nil; {
			n := copy(c.raw[c.have:], stream[at:min(at+1+int(step), len(stream))])
			if n == 0 {
				t.Fatal("there is no room for what comes")
			}
			c.have += n
			at += n
			failed = c.cut(take)
		}
		rest := stream
		for i := 0; ; i++ {
			if len(rest) < lengthBytes {
				break
			}
			n := int(binary.BigEndian.Uint16(rest))
			if n > size {
				if failed != ErrFrame {
					t.Fatalf("a datagram of %d bytes: %v", n, failed)
				}
				return // what came before it in the same piece may be lost with the connection
			}
			if len(rest) < lengthBytes+n {
				break
			}
			if i >= len(got) && failed != nil {
				return // likewise
			}
			if i >= len(got) || !bytes.Equal(got[i], rest[lengthBytes:lengthBytes+n]) {
				t.Fatalf("datagram %d of %d bytes is not handed on", i, n)
			}
			rest = rest[lengthBytes+n:]
		}
		if failed != nil {
			t.Fatalf("the connection ends with %v", failed)
		}
	})
}
