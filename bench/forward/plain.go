package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
)

// plainArgument makes this program the SFU that Spillway is compared with: pion as
// its examples use it, with its default interceptors. It reads offers from its
// input and writes answers, a JSON line each.
const plainArgument = "plain-pion-sfu"

type plain struct {
	process
	mu  sync.Mutex
	in  io.Writer
	out *bufio.Reader
}

func startPlain() (server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &plain{process: process{onFirstCore(self, plainArgument)}}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReader(out)
	return p, p.cmd.Start()
}

func (p *plain) join(_ context.Context, o events.Offer) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	raw, err := json.Marshal(o)
	if err == nil {
		_, err = p.in.Write(append(raw, '\n'))
	}
	if err != nil {
		return "", err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("plain pion: %w", err)
	}
	return line[:len(line)-1], nil
}

// plainSFU gives everything that publishers send to all who come later.
type plainSFU struct {
	api    *webrtc.API
	mu     sync.Mutex
	tracks []*webrtc.TrackLocalStaticRTP
}

func servePlain() {
	var set webrtc.SettingEngine
	set.SetIncludeLoopbackCandidate(true)
	set.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	set.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s := &plainSFU{api: webrtc.NewAPI(webrtc.WithSettingEngine(set))}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o events.Offer
		err := json.Unmarshal(lines.Bytes(), &o)
		answer := ""
		if err == nil {
			answer, err = s.answer(o)
		}
		if err != nil {
			fail(err)
		}
		fmt.Println(answer)
	}
}

func (s *plainSFU) answer(o events.Offer) (string, error) {
	sdp, err := events.Unpack(o.Offer)
	if err != nil {
		return "", err
	}
	pc, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	yes, id := true, uint16(events.ChannelID)
	if _, err := pc.CreateDataChannel(events.ChannelLabel, &webrtc.DataChannelInit{Negotiated: &yes, Ordered: &yes, ID: &id}); err != nil {
		return "", err
	}
	if o.Person.Role == events.Publisher {
		pc.OnTrack(s.forward)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}); err != nil {
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

func (s *plainSFU) forward(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	local, err := webrtc.NewTrackLocalStaticRTP(track.Codec().RTPCodecCapability, track.ID()+track.RID(), track.StreamID())
	if err != nil {
		fail(err)
	}
	s.mu.Lock()
	s.tracks = append(s.tracks, local)
	s.mu.Unlock()
	buf := make([]byte, 1500)
	for {
		n, _, err := track.Read(buf)
		if err != nil {
			return
		}
		if _, err := local.Write(buf[:n]); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			fmt.Fprintln(os.Stderr, "plain pion:", err)
		}
	}
}

// send gives every track to a subscriber, and reads what it reports.
func (s *plainSFU) send(pc *webrtc.PeerConnection) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tracks {
		sender, err := pc.AddTrack(t)
		if err != nil {
			return err
		}
		go func() {
			buf := make([]byte, 1500)
			for {
				if _, _, err := sender.Read(buf); err != nil {
					return
				}
			}
		}()
	}
	return nil
}
