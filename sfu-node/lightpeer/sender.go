package lightpeer

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
)

// Sender sends one layer of one source. Its methods must not run at the same
// time.
type Sender struct {
	source events.Source
	rid    string
	track  *webrtc.TrackLocalStaticRTP
	sender *webrtc.RTPSender
	t      *webrtc.RTPTransceiver

	keysAsked  atomic.Int64
	stopped    atomic.Bool
	known      bool
	mid, ridID uint8
	level      uint8
	sequence   uint16
}

// AddSenders adds a sending section to a connection, with one encoding for each
// RID; "" is a section without simulcast. onKey is told that a key frame of a layer
// is wanted; it may be nil.
func AddSenders(pc *webrtc.PeerConnection, source events.Source, rids []string, onKey func(rid string)) ([]*Sender, error) {
	capability := opus
	if source.Kind() == "video" {
		capability = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	}
	var senders []*Sender
	for i, rid := range rids {
		var options []func(*webrtc.TrackLocalStaticRTP)
		if rid != "" {
			options = append(options, webrtc.WithRTPStreamID(rid))
		}
		track, err := webrtc.NewTrackLocalStaticRTP(capability, string(source), string(source), options...)
		if err != nil {
			return nil, fmt.Errorf("make track %s: %w", source, err)
		}
		s := &Sender{source: source, rid: rid, track: track}
		if i == 0 {
			s.t, err = pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		} else {
			s.t = senders[0].t
			err = s.t.Sender().AddEncoding(track)
		}
		if err != nil {
			return nil, fmt.Errorf("add track %s %s: %w", source, rid, err)
		}
		s.sender = s.t.Sender()
		go s.readKeyRequests(onKey)
		senders = append(senders, s)
	}
	return senders, nil
}

// addSenders adds a section of the contract.
func (c *Client) addSenders(source events.Source, rids []string) ([]*Sender, error) {
	return AddSenders(c.pc, source, rids, func(rid string) {
		if c.opt.OnKeyRequest != nil {
			c.opt.OnKeyRequest(source, rid)
		}
	})
}

func (s *Sender) readKeyRequests(onKey func(rid string)) {
	for {
		var packets []rtcp.Packet
		var err error
		if s.rid == "" {
			packets, _, err = s.sender.ReadRTCP()
		} else {
			packets, _, err = s.sender.ReadSimulcastRTCP(s.rid)
		}
		if err != nil {
			return
		}
		for _, p := range packets {
			if _, ok := p.(*rtcp.PictureLossIndication); !ok {
				continue
			}
			s.keysAsked.Add(1)
			if onKey != nil {
				onKey(s.rid)
			}
		}
	}
}

// limit notes which layers are of use. What begins anew begins with a key frame.
func (c *Client) limit(m events.Layers) {
	for source, senders := range map[events.Source][]*Sender{events.Camera: c.camera, events.Screen: c.screen} {
		i := slices.IndexFunc(m.Sources, func(l events.SourceLayers) bool { return l.Source == source })
		for _, s := range senders {
			stop := i >= 0 && !slices.Contains(m.Sources[i].Rids, s.rid)
			if s.stopped.Swap(stop) && !stop {
				s.keysAsked.Add(1)
				if c.opt.OnKeyRequest != nil {
					c.opt.OnKeyRequest(source, s.rid)
				}
			}
		}
	}
}

// Active reports whether the layer is of use to anybody. What is not should not be
// sent.
func (s *Sender) Active() bool { return !s.stopped.Load() }

// Microphone sends sound.
func (c *Client) Microphone() *Sender { return c.mic }

// Camera sends one layer of the camera: "q", "h" or "f".
func (c *Client) Camera(rid string) *Sender { return pick(c.camera, rid) }

// Screen sends one layer of the screen: "q" or "f".
func (c *Client) Screen(rid string) *Sender { return pick(c.screen, rid) }

func pick(senders []*Sender, rid string) *Sender {
	for _, s := range senders {
		if s.rid == rid {
			return s
		}
	}
	return nil
}

// negotiated looks up the ids that the answer settled.
func (s *Sender) negotiated() {
	if s.known {
		return
	}
	s.known = true
	for _, e := range s.sender.GetParameters().HeaderExtensions {
		switch e.URI {
		case sdp.SDESMidURI:
			s.mid = uint8(e.ID)
		case sdp.SDESRTPStreamIDURI:
			s.ridID = uint8(e.ID)
		case audioLevelURI:
			s.level = uint8(e.ID)
		}
	}
}

// Write sends one packet. Sequence numbers are the sender's own; silence is the
// loudness that goes with sound, in -dBov (RFC 6464), and is ignored for video.
func (s *Sender) Write(payload []byte, timestamp uint32, marker bool, silence uint8) error {
	s.negotiated()
	s.sequence++
	return s.write(payload, timestamp, marker, silence, s.sequence)
}

// Skip leaves n sequence numbers out, as if packets had been lost.
func (s *Sender) Skip(n uint16) { s.sequence += n }

func (s *Sender) write(payload []byte, timestamp uint32, marker bool, silence uint8, sequence uint16) error {
	h := rtp.Header{Version: 2, Marker: marker, SequenceNumber: sequence, Timestamp: timestamp}
	var err error
	set := func(id uint8, value []byte) {
		if id != 0 && err == nil {
			err = h.SetExtension(id, value)
		}
	}
	set(s.mid, []byte(s.t.Mid()))
	if s.rid != "" {
		set(s.ridID, []byte(s.rid))
	}
	if s.source.Kind() == "audio" {
		voice := byte(0)
		if silence < 127 {
			voice = 0x80
		}
		set(s.level, []byte{voice | silence&0x7f})
	}
	if err == nil {
		err = s.track.WriteRTP(&rtp.Packet{Header: h, Payload: payload})
	}
	if err != nil {
		return fmt.Errorf("lightpeer: write %s %s: %w", s.source, s.rid, err)
	}
	return nil
}

func encode(m events.Message) ([]byte, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("lightpeer: encode message: %w", err)
	}
	return raw, nil
}
