package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

var everyProfile = []Profile{AES128GCM, AES256GCM, AES128CM}

func newKey(t testing.TB, p Profile) Key {
	t.Helper()
	material := make([]byte, p.ExportLen())
	if _, err := rand.Read(material); err != nil {
		t.Fatal(err)
	}
	client, _, err := Split(p, material)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func newPair(t testing.TB, p Profile) (*Sealer, *Opener, Key) {
	t.Helper()
	k := newKey(t, p)
	s, err := NewSealer(k)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewOpener(k)
	if err != nil {
		t.Fatal(err)
	}
	return s, o, k
}

// plain makes an RTP packet with a contributing source and an extension.
func plain(t testing.TB, ssrc uint32, seq uint16, size int) (b []byte, header int) {
	t.Helper()
	h := rtp.Header{Version: 2, Marker: true, PayloadType: 96, SequenceNumber: seq, Timestamp: 90000, SSRC: ssrc, CSRC: []uint32{7}}
	if err := h.SetExtension(3, []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(i + int(seq))
	}
	b, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b, h.MarshalSize()
}

func seal(t testing.TB, s *Sealer, b []byte, header int) []byte {
	t.Helper()
	buf := append(bytes.Clone(b), make([]byte, s.Overhead())...)
	n, err := s.Stream(binary.BigEndian.Uint32(b[8:])).Seal(buf, header, len(b))
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func pionContext(t testing.TB, k Key) *srtp.Context {
	t.Helper()
	c, err := srtp.CreateContext(k.Key, k.Salt, srtp.ProtectionProfile(k.Profile))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What we seal pion opens and the reverse, over two wraps of the sequence number.
func TestInteroperatesWithPion(t *testing.T) {
	for _, p := range everyProfile {
		t.Run(p.String(), func(t *testing.T) {
			s, o, k := newPair(t, p)
			theirs, opens := pionContext(t, k), pionContext(t, k)
			for i := range 3000 {
				seq := uint16(30000 + i*50)
				b, header := plain(t, 0xdeadbeef, seq, i%1200)
				opened, err := opens.DecryptRTP(nil, seal(t, s, b, header), nil)
				if err != nil || !bytes.Equal(opened, b) {
					t.Fatalf("packet %d: pion does not open ours: %v", i, err)
				}
				sealed, err := theirs.EncryptRTP(nil, b, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, h, err := o.Open(sealed)
				if err != nil || !bytes.Equal(got, b) || h != header {
					t.Fatalf("packet %d: we do not open pion's: %v", i, err)
				}
			}
			report := rtcp.SenderReport{SSRC: 4711, NTPTime: 1 << 40, RTPTime: 7, PacketCount: 8, OctetCount: 9}
			for i := range 100 {
				report.PacketCount = uint32(i)
				report.SSRC = uint32(4711 + i%3) // each SSRC's reports are numbered for themselves
				b, err := report.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				buf := append(bytes.Clone(b), make([]byte, s.OverheadRTCP())...)
				n, err := s.SealRTCP(buf, len(b))
				if err != nil || n != len(buf) {
					t.Fatalf("sealed to %d of %d: %v", n, len(buf), err)
				}
				if opened, err := opens.DecryptRTCP(nil, buf, nil); err != nil || !bytes.Equal(opened, b) {
					t.Fatalf("report %d: pion does not open ours: %v", i, err)
				}
				sealed, err := theirs.EncryptRTCP(nil, b, nil)
				if err != nil {
					t.Fatal(err)
				}
				again := bytes.Clone(sealed)
				if got, err := o.OpenRTCP(sealed); err != nil || !bytes.Equal(got, b) {
					t.Fatalf("report %d: we do not open pion's: %v", i, err)
				}
				if _, err := o.OpenRTCP(again); !errors.Is(err, ErrReplayed) {
					t.Fatalf("report %d is taken twice: %v", i, err)
				}
			}
		})
	}
}

// RFC 3711, appendix B.3.
func TestKeyDerivation(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	k := Key{Profile: AES128CM, Key: unhex("E1F97A0D3E018BE0D64FA32C06DE4139"), Salt: unhex("0EC675AD498AFEEBB6960B3AABE6")}
	for _, c := range []struct {
		label byte
		want  string
	}{
		{labelRTPKey, "C61E7A93744F39EE10734AFE3FF7A087"},
		{labelRTPSalt, "30CBBC08863D8C85D49DB34A9AE1"},
		{labelRTPAuth, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"},
	} {
		want := unhex(c.want)
		got, err := k.derive(c.label, len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("label %d: %X, expected %X (%v)", c.label, got, want, err)
		}
	}
}

// No index of a stream is ever sealed twice, in whatever order the packets come
// and whichever way they leave. The naive memory of everything sealed is the
// judge.
func TestNoNonceIsUsedTwice(t *testing.T) {
	s, _, _ := newPair(t, AES128GCM)
	o := s.Stream(9)
	sealed := map[uint64]bool{}
	try := func(index uint64) error {
		b, header := plain(t, 9, uint16(index), 20)
		buf := append(bytes.Clone(b), make([]byte, s.Overhead())...)
		n, err := s.Stream(9).Seal(buf, header, len(b))
		if err != nil {
			if !bytes.Equal(buf[:len(b)], b) || n != 0 {
				t.Fatal("a refused packet was changed")
			}
			return err
		}
		// The nonce used must be that of the index: a wrong guess of the
		// roll-over counter would show here.
		if got := uint64(binary.BigEndian.Uint32(s.rtp.nonce[6:])^binary.BigEndian.Uint32(s.rtp.salt[6:]))<<16 |
			uint64(binary.BigEndian.Uint16(s.rtp.nonce[10:])^binary.BigEndian.Uint16(s.rtp.salt[10:])); got != index {
			t.Fatalf("index %d was sealed as %d", index, got)
		}
		if sealed[index] {
			t.Fatalf("index %d was sealed twice", index)
		}
		sealed[index] = true
		return nil
	}
	next := uint64(65_000)
	var seed [2000]byte
	if _, err := rand.Read(seed[:]); err != nil {
		t.Fatal(err)
	}
	for _, r := range seed {
		next += uint64(r % 40)
		for _, i := range []uint64{next, next, next - uint64(r), next + uint64(r)/16, next - 900} {
			if err := try(i); err != nil && !errors.Is(err, ErrUsed) {
				t.Fatal(err)
			} else if err == nil && i > next {
				next = i
			}
		}
	}
	if o != s.Stream(9) {
		t.Error("asking for a stream again forgets what it sealed")
	}
	if len(sealed) < 2000 || o.window.highest < 2<<16-1 && o.window.highest < 90_000 {
		t.Errorf("%d packets sealed up to %d: the test did too little", len(sealed), o.window.highest)
	}
	// Too old to tell is refused, however fresh it may be.
	if err := try(o.window.highest - windowBits); !errors.Is(err, ErrUsed) {
		t.Errorf("a packet from beyond the window: %v", err)
	}
}

// A receiver that moves from UDP to TCP, and a packet asked for again: whoever
// builds the packet anew is refused, even with other bytes; the sealed bytes
// themselves may be sent as often as one likes.
func TestAnotherWayIsNoSecondSeal(t *testing.T) {
	for _, p := range everyProfile {
		s, o, _ := newPair(t, p)
		b, header := plain(t, 5, 100, 500)
		first := seal(t, s, b, header) // left over UDP
		again := append(bytes.Clone(b), make([]byte, s.Overhead())...)
		again[header]++ // a fresh transport-wide number, say
		if _, err := s.Stream(5).Seal(again, header, len(b)); !errors.Is(err, ErrUsed) {
			t.Errorf("%v: the same index over TCP: %v", p, err)
		}
		if _, _, err := o.Open(bytes.Clone(first)); err != nil {
			t.Errorf("%v: the sealed bytes over TCP: %v", p, err)
		}
		// Other streams of the same key are independent.
		if _, err := s.Stream(6).Seal(again, header, len(b)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: a packet of another stream: %v", p, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, p := range everyProfile {
		t.Run(p.String(), func(t *testing.T) {
			s, o, _ := newPair(t, p)
			b, header := plain(t, 1, 10, 100)
			sealed := seal(t, s, b, header)
			for i := range sealed {
				bad := bytes.Clone(sealed)
				bad[i] ^= 4
				if _, _, err := o.Open(bad); err == nil {
					t.Errorf("a packet with byte %d changed is taken", i)
				}
			}
			if len(o.streams) != 0 {
				t.Errorf("forged packets made %d streams", len(o.streams))
			}
			if _, _, err := o.Open(bytes.Clone(sealed)); err != nil {
				t.Errorf("the packet itself: %v", err)
			}
			if _, _, err := o.Open(bytes.Clone(sealed)); !errors.Is(err, ErrReplayed) {
				t.Errorf("the packet again: %v", err)
			}
			for n := range sealed {
				if _, _, err := o.Open(bytes.Clone(sealed[:n])); err == nil {
					t.Errorf("%d bytes of it are taken", n)
				}
			}
		})
	}
}

func TestKeysThatDoNotFit(t *testing.T) {
	if _, err := NewSealer(Key{Profile: AES128GCM, Key: make([]byte, 16), Salt: make([]byte, 14)}); err == nil {
		t.Error("a salt of the wrong length is taken")
	}
	if _, err := NewOpener(Key{Profile: 99}); err == nil {
		t.Error("an unknown profile is taken")
	}
	if _, _, err := Split(AES128CM, make([]byte, 59)); err == nil {
		t.Error("keying material of the wrong length is taken")
	}
	s, _, _ := newPair(t, AES128GCM)
	b, header := plain(t, 1, 1, 10)
	if _, err := s.Stream(1).Seal(b, header, len(b)); !errors.Is(err, ErrRoom) {
		t.Errorf("no room for the tag: %v", err)
	}
	if s.Stream(1).window.seen() != 0 {
		t.Error("a packet that was not sealed counts as sealed")
	}
}

// FuzzOpen feeds the opener whatever an attacker may send.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte{0x9f, 200, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0xff, 0xff})
	f.Add(bytes.Repeat([]byte{0x80}, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range []Profile{AES128GCM, AES128CM} {
			_, o, _ := newPair(t, p)
			if _, _, err := o.Open(bytes.Clone(b)); err == nil {
				t.Error("a packet sealed with nothing is taken")
			}
			if _, err := o.OpenRTCP(bytes.Clone(b)); err == nil {
				t.Error("a report sealed with nothing is taken")
			}
		}
	})
}

// FuzzWindow compares the window with a memory of everything.
func FuzzWindow(f *testing.F) {
	f.Add([]byte{1, 2, 3, 255, 128, 0, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var w window
		used := map[uint64]bool{}
		at := uint64(5000)
		for _, s := range steps {
			if s >= 250 {
				at += uint64(s) * 7
			} else {
				at = uint64(int64(at) + int64(s) - 120)
			}
			forgotten := w.any && at+windowBits <= w.highest
			if got, want := w.fresh(at), !used[at] && !forgotten; got != want {
				t.Fatalf("index %d: fresh is %v, expected %v", at, got, want)
			}
			if w.fresh(at) {
				w.use(at)
				used[at] = true
			}
		}
	})
}

func TestSealingAllocatesNothing(t *testing.T) {
	for _, p := range everyProfile {
		s, o, k := newPair(t, p)
		theirs := pionContext(t, k)
		b, header := plain(t, 1, 0, 1200)
		buf := append(bytes.Clone(b), make([]byte, s.Overhead())...)
		out := s.Stream(1)
		seq := uint16(0)
		if n := testing.AllocsPerRun(1000, func() {
			copy(buf, b)
			seq++
			binary.BigEndian.PutUint16(buf[2:], seq)
			if _, err := out.Seal(buf, header, len(b)); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations for sealing a packet", p, n)
		}
		var sealed [][]byte
		for i := range 1002 {
			binary.BigEndian.PutUint16(b[2:], uint16(i))
			x, err := theirs.EncryptRTP(nil, b, nil)
			if err != nil {
				t.Fatal(err)
			}
			sealed = append(sealed, x)
		}
		i := 0
		if _, _, err := o.Open(sealed[0]); err != nil { // makes the stream
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(1000, func() {
			i++
			if _, _, err := o.Open(sealed[i]); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations for opening a packet", p, n)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, p := range everyProfile {
		b.Run(p.String(), func(b *testing.B) {
			s, _, _ := newPair(b, p)
			pkt, header := plain(b, 1, 0, 1200)
			buf := append(bytes.Clone(pkt), make([]byte, s.Overhead())...)
			out := s.Stream(1)
			b.ReportAllocs()
			b.SetBytes(1200)
			for seq := uint16(0); b.Loop(); seq++ {
				binary.BigEndian.PutUint16(buf[2:], seq)
				if _, err := out.Seal(buf, header, len(pkt)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
