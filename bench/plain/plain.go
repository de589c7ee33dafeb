// Package plain is the SFU that Spillway is compared with: pion as its examples use
// it, with its default interceptors, answering the offers of our contract. It gives
// what publishers send to whoever comes later, and passes on requests for key
// frames.
package plain

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
)

// SFU forwards to all viewers what all publishers send. Close it.
type SFU struct {
	api    *webrtc.API
	mu     sync.Mutex
	tracks []*track
	open   []*webrtc.PeerConnection
}

// track is what one publisher sends, to be written to.
type track struct {
	*webrtc.TrackLocalStaticRTP
	ask func()
}

// New makes an SFU that uses the loopback interface and no other.
func New() *SFU {
	var set webrtc.SettingEngine
	set.SetIncludeLoopbackCandidate(true)
	set.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	set.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	return &SFU{api: webrtc.NewAPI(webrtc.WithSettingEngine(set))}
}

// Close ends all connections and waits for their goroutines.
func (s *SFU) Close() (err error) {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for _, pc := range open {
		err = errors.Join(err, pc.GracefulClose())
	}
	return err
}

// Answer lets somebody in and returns the answer to the offer, packed.
func (s *SFU) Answer(o events.Offer) (string, error) {
	offer, err := events.Unpack(o.Offer)
	if err != nil {
		return "", fmt.Errorf("plain pion: unpack offer: %w", err)
	}
	pc, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", fmt.Errorf("plain pion: make connection: %w", err)
	}
	s.mu.Lock()
	s.open = append(s.open, pc)
	s.mu.Unlock()
	answer, err := s.negotiate(pc, offer, o.Person.Role == events.Viewer)
	if err != nil {
		return "", fmt.Errorf("plain pion: answer: %w", err)
	}
	return events.Pack(answer), nil
}

func (s *SFU) negotiate(pc *webrtc.PeerConnection, offer string, views bool) (string, error) {
	yes, id := true, uint16(events.ChannelID)
	if _, err := pc.CreateDataChannel(events.ChannelLabel, &webrtc.DataChannelInit{Negotiated: &yes, Ordered: &yes, ID: &id}); err != nil {
		return "", err
	}
	pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { s.forward(pc, t) })
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	if views {
		if err := s.send(pc); err != nil {
			return "", err
		}
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}

// forward writes what comes to whoever gets it, until it ends.
func (s *SFU) forward(pc *webrtc.PeerConnection, remote *webrtc.TrackRemote) {
	local, err := webrtc.NewTrackLocalStaticRTP(remote.Codec().RTPCodecCapability, remote.ID()+remote.RID(), remote.StreamID())
	if err != nil {
		return
	}
	ask := func() { _ = pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(remote.SSRC())}}) }
	s.mu.Lock()
	s.tracks = append(s.tracks, &track{local, ask})
	s.mu.Unlock()
	buf := make([]byte, 1500)
	for {
		n, _, err := remote.Read(buf)
		if err != nil {
			return
		}
		if _, err := local.Write(buf[:n]); errors.Is(err, io.ErrClosedPipe) {
			continue // somebody is leaving
		}
	}
}

// send gives every track to a viewer, and reads what it reports.
func (s *SFU) send(pc *webrtc.PeerConnection) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tracks {
		sender, err := pc.AddTrack(t)
		if err != nil {
			return err
		}
		go func() {
			for {
				packets, _, err := sender.ReadRTCP()
				if err != nil {
					return
				}
				for _, p := range packets {
					if _, ok := p.(*rtcp.PictureLossIndication); ok {
						t.ask()
					}
				}
			}
		}()
	}
	return nil
}
