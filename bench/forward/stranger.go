package main

import (
	"errors"
	"fmt"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// stranger is a connection to an SFU that speaks another contract than ours. Its
// stack is the same as that of the peers of our contract.
type stranger struct {
	seat seat
	pc   *webrtc.PeerConnection
	mux  ice.UDPMux

	connected chan struct{}
	failed    chan struct{}
}

func newStranger(s seat) (*stranger, error) {
	api, mux, err := lightpeer.NewAPI(s.options())
	if err != nil {
		return nil, err
	}
	t := &stranger{seat: s, mux: mux, connected: make(chan struct{}), failed: make(chan struct{})}
	if t.pc, err = api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle}); err != nil {
		return nil, errors.Join(err, mux.Close())
	}
	var up, down sync.Once
	t.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			up.Do(func() { close(t.connected) })
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			down.Do(func() { close(t.failed) })
		}
	})
	t.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			if s.onPacket != nil {
				s.onPacket(fmt.Sprint(track.SSRC()), p)
			}
		}
	})
	return t, nil
}

func (t *stranger) close() error { return errors.Join(t.pc.GracefulClose(), t.mux.Close()) }

// send adds what the peer's publisher sends.
func (t *stranger) send() (*peer, error) {
	p := &peer{pc: t.pc, camera: map[string]*lightpeer.Sender{}, close: t.close}
	layers := []string{""}
	if t.seat.load.kind == meeting {
		layers = rids
	}
	camera, err := lightpeer.AddSenders(t.pc, events.Camera, layers, t.seat.onKey)
	if err != nil {
		return nil, err
	}
	for i, s := range camera {
		p.camera[layers[i]] = s
	}
	if len(layers) == 1 {
		p.camera["f"] = camera[0] // as the traffic calls the only one
	}
	if t.seat.number < t.seat.load.kind.voices(t.seat.number+1) {
		sound, err := lightpeer.AddSenders(t.pc, events.Microphone, []string{""}, nil)
		if err != nil {
			return nil, err
		}
		p.microphone = sound[0]
	}
	return p, nil
}

// offer makes a complete offer, candidates and all.
func (t *stranger) offer() (string, error) {
	offer, err := t.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	return t.complete(offer)
}

// answer takes an offer and makes a complete answer.
func (t *stranger) answer(sdp string) (string, error) {
	if err := t.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}); err != nil {
		return "", err
	}
	answer, err := t.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	return t.complete(answer)
}

func (t *stranger) complete(d webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(t.pc)
	if err := t.pc.SetLocalDescription(d); err != nil {
		return "", err
	}
	<-gathered
	return t.pc.LocalDescription().SDP, nil
}

// accept takes the answer to the offer.
func (t *stranger) accept(sdp string) error {
	return t.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp})
}
