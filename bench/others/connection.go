package others

import (
	"errors"
	"fmt"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// Connection is a connection to an SFU. Its stack is the same as that of the peers of
// our contract. Close it.
type Connection struct {
	PC *webrtc.PeerConnection
	// Connected and Failed are closed when it is.
	Connected, Failed chan struct{}

	mux ice.UDPMux
}

// Connect makes a connection.
func Connect(opt lightpeer.Options) (*Connection, error) {
	api, mux, err := lightpeer.NewAPI(opt)
	if err != nil {
		return nil, err
	}
	t := &Connection{mux: mux, Connected: make(chan struct{}), Failed: make(chan struct{})}
	if t.PC, err = api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle}); err != nil {
		return nil, errors.Join(err, closeMux(mux))
	}
	var up, down sync.Once
	t.PC.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			up.Do(func() { close(t.Connected) })
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			down.Do(func() { close(t.Failed) })
		}
	})
	t.PC.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			if opt.OnPacket != nil {
				opt.OnPacket(fmt.Sprint(track.SSRC()), p)
			}
		}
	})
	return t, nil
}

// Close ends the connection, and closes its socket.
func (t *Connection) Close() error { return errors.Join(t.PC.GracefulClose(), closeMux(t.mux)) }

func closeMux(mux ice.UDPMux) error {
	if mux == nil {
		return nil
	}
	return mux.Close()
}

// Send adds what a seat's publisher sends.
func (t *Connection) Send(s Seat) (*Peer, error) {
	p := &Peer{PC: t.PC, Camera: map[string]*lightpeer.Sender{}, Close: t.Close}
	camera, err := lightpeer.AddSenders(t.PC, events.Camera, s.Camera, s.OnKey)
	if err != nil {
		return nil, err
	}
	for i, sender := range camera {
		p.Camera[s.Camera[i]] = sender
	}
	if len(camera) == 1 {
		p.Camera["f"] = camera[0]
	}
	if s.Sound {
		sound, err := lightpeer.AddSenders(t.PC, events.Microphone, []string{""}, nil)
		if err != nil {
			return nil, err
		}
		p.Microphone = sound[0]
	}
	return p, nil
}

// Offer makes a complete offer, candidates and all.
func (t *Connection) Offer() (string, error) {
	offer, err := t.PC.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	return t.complete(offer)
}

// Answer takes an offer and makes a complete answer.
func (t *Connection) Answer(sdp string) (string, error) {
	if err := t.PC.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}); err != nil {
		return "", err
	}
	answer, err := t.PC.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	return t.complete(answer)
}

func (t *Connection) complete(d webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(t.PC)
	if err := t.PC.SetLocalDescription(d); err != nil {
		return "", err
	}
	<-gathered
	return t.PC.LocalDescription().SDP, nil
}

// Accept takes the answer to the offer.
func (t *Connection) Accept(sdp string) error {
	return t.PC.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp})
}
