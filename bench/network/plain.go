package main

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
)

// plain is what Spillway is compared with: pion as its examples use it, with its
// default interceptors. It gives what publishers send to whoever comes later, and
// passes on requests for key frames.
type plain struct {
	api    *webrtc.API
	mu     sync.Mutex
	tracks []*forwarded
	open   []*webrtc.PeerConnection
}

type forwarded struct {
	*webrtc.TrackLocalStaticRTP
	ask func()
}

func newPlain() *plain {
	var set webrtc.SettingEngine
	set.SetIncludeLoopbackCandidate(true)
	set.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	set.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	return &plain{api: webrtc.NewAPI(webrtc.WithSettingEngine(set))}
}

func (s *plain) from() int { return len(layers) - 1 }

func (s *plain) close() (err error) {
	for _, pc := range s.open {
		err = errors.Join(err, pc.GracefulClose())
	}
	return err
}

func (s *plain) join(_ context.Context, o events.Offer) (string, error) {
	offer, err := events.Unpack(o.Offer)
	if err != nil {
		return "", err
	}
	pc, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.open = append(s.open, pc)
	s.mu.Unlock()
	yes, id := true, uint16(events.ChannelID)
	if _, err := pc.CreateDataChannel(events.ChannelLabel, &webrtc.DataChannelInit{Negotiated: &yes, Ordered: &yes, ID: &id}); err != nil {
		return "", err
	}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { s.forward(pc, track) })
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	if o.Person.Role == events.Viewer {
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
	return events.Pack(pc.LocalDescription().SDP), nil
}

func (s *plain) forward(pc *webrtc.PeerConnection, track *webrtc.TrackRemote) {
	local, err := webrtc.NewTrackLocalStaticRTP(track.Codec().RTPCodecCapability, track.ID()+track.RID(), track.StreamID())
	if err != nil {
		return
	}
	s.mu.Lock()
	s.tracks = append(s.tracks, &forwarded{local, func() { askForKey(pc, track.SSRC()) }})
	s.mu.Unlock()
	buf := make([]byte, 1500)
	for {
		n, _, err := track.Read(buf)
		if err != nil {
			return
		}
		if _, err := local.Write(buf[:n]); errors.Is(err, io.ErrClosedPipe) {
			continue // somebody is leaving
		}
	}
}

func askForKey(pc *webrtc.PeerConnection, ssrc webrtc.SSRC) {
	_ = pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(ssrc)}})
}

// send gives every track to a subscriber, and reads what it reports.
func (s *plain) send(pc *webrtc.PeerConnection) error {
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
