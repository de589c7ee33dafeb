package sfu

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// FuzzScalable feeds anything as packets of a stream of several layers, several of them
// one after the other, each with its length before it.
func FuzzScalable(f *testing.F) {
	join := func(packets ...[]byte) (all []byte) {
		for _, p := range packets {
			all = append(binary.BigEndian.AppendUint16(all, uint16(len(p))), p...)
		}
		return all
	}
	f.Add(join(vp9(1, 0, true, true), vp9(1, 1, true, false), vp9(2, 0, false, true)), false)
	f.Add(join(vp9(1, 0, true, true), []byte{0xff}, []byte{0x8a, 1}), false)
	f.Add(join([]byte{0x10, 0x32, 1, 2, 3}, []byte{0}), true)
	f.Fuzz(func(t *testing.T, input []byte, isAV1 bool) {
		in, out, c := uint8(vp9In), uint8(vp9Out), codecVP9
		if isAV1 {
			in, out, c = av1In, av1Out, codecAV1
		}
		b := newSVCBench(t, in, out, c)
		for i := uint16(1); len(input) >= 2; i++ {
			n := min(int(binary.BigEndian.Uint16(input)), len(input)-2, mtu-32)
			packet := raw(in, i, uint32(i)*3000, input[2:2+n])
			input = input[2+n:]
			if part, is := b.peer.intake.scalable(b.peer, b.line, packet, 12); is {
				b.line.svc.take(b.reader, 0, packet, part, time.Duration(i)*time.Millisecond)
			}
		}
	})
}

// FuzzOffer feeds anything as a session description, which is read or refused with a
// code before the WebRTC stack sees it.
func FuzzOffer(f *testing.F) {
	sdp, err := os.ReadFile("../../events/testdata/offer.sdp")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(sdp))
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=rid:q send\r\na=extmap:15/sendonly urn:x\r\na=rtpmap:96 VP8/90000\r\na=fmtp:97 apt=\r\na=ssrc-group:FID 1\r\na=ssrc: \r\n")
	f.Fuzz(func(t *testing.T, offer string) {
		s := &SFU{log: slog.New(slog.DiscardHandler)}
		p := newPeer(s, events.Offer{Media: events.Media{Microphone: "0", Camera: "1", Screen: "2", ScreenAudio: "3", Audio: []string{"4"}, Video: []string{"5", "6"}}})
		_, err := p.readOffer(offer)
		var coded *events.Error
		if err != nil && (!errors.As(err, &coded) || coded.Code != events.CodeBadOffer) {
			t.Fatalf("an error without a code: %v", err)
		}
	})
}
