package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/bench/others"
	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// seat is what somebody is to be in the room.
type seat struct {
	name      string
	publishes bool
	number    int // among those of its kind
	load      load
	suite     dtls.SRTPProtectionProfile
	socket    *net.UDPConn // which the peer closes
	reads     bool         // it reads what it gets, and asks for what is lost
	onPacket  func(stream string, p *rtp.Packet)
	onKey     func(rid string)
}

// options are those of the stack of somebody with this seat.
func (s seat) options() lightpeer.Options {
	return lightpeer.Options{
		Loopback: s.socket.LocalAddr().(*net.UDPAddr).IP.IsLoopback(), Socket: s.socket, Content: !s.publishes && !s.reads, Profile: s.suite,
		OnPacket: s.onPacket, OnKeyRequest: func(_ events.Source, rid string) { s.onKey(rid) },
	}
}

// peer is somebody in the room.
type peer struct {
	// pc is the connection on which media comes, or goes when it publishes.
	pc         *webrtc.PeerConnection
	camera     map[string]*lightpeer.Sender // by RID
	microphone *lightpeer.Sender
	close      func() error
}

// elsewhere is the seat in the words of SFUs that speak another contract than ours.
func (s seat) elsewhere() others.Seat {
	e := others.Seat{Room: "room", Name: s.name, Publishes: s.publishes, Camera: []string{""}, Media: s.options(), OnKey: s.onKey,
		Sound: s.number < s.load.kind.voices(s.number+1)}
	if s.load.kind == meeting {
		e.Camera = rids
		e.Height = func(publisher string) int {
			if publisher == publisherName(0) {
				return 720
			}
			return 180
		}
	}
	return e
}

// seated is somebody in the room of such an SFU.
func seated(p *others.Peer) *peer {
	return &peer{pc: p.PC, camera: p.Camera, microphone: p.Microphone, close: p.Close}
}

// answers is how an SFU that speaks our contract answers an offer.
type answers func(ctx context.Context, o events.Offer) (string, error)

// join lets somebody in by our contract.
func (join answers) join(ctx context.Context, s seat) (*peer, error) {
	opt, role := s.options(), events.Publisher
	opt.Audio, opt.Video = 1, 1
	if !s.publishes {
		role = events.Viewer
		opt.Audio, opt.Video = max(1, s.load.kind.voices(s.load.publishers)), s.load.publishers
	}
	client, err := lightpeer.New(opt)
	if err != nil {
		return nil, err
	}
	offer, media, err := client.Offer()
	if err == nil {
		var answer string
		answer, err = join(ctx, events.Offer{
			Header: events.Head(events.ActionOffer), Generation: 1, Room: "room", Ticket: "ticket", Session: "session-" + s.name, Revision: 1,
			Profile: events.Profile{AudioStreams: opt.Audio, VideoStreams: opt.Video, ReceiveKbps: 100_000, SendKbps: 3000, VideoCodecs: []string{"vp8"}},
			Person:  events.Person{Key: "key-" + s.name, Identity: s.name, Name: s.name, Role: role}, Offer: offer, Media: media,
		})
		if err == nil {
			err = client.Accept(ctx, answer)
		}
	}
	if err == nil {
		err = begin(client, s)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect %s: %w", s.name, err), client.Close())
	}
	p := &peer{pc: client.Connection(), microphone: client.Microphone(), camera: map[string]*lightpeer.Sender{}, close: client.Close}
	for _, rid := range rids {
		p.camera[rid] = client.Camera(rid)
	}
	return p, nil
}

// begin says what somebody publishes, and what it wants to see: nothing, if it
// publishes, so that all that is forwarded is counted.
func begin(client *lightpeer.Client, s seat) error {
	want := events.Want{Header: events.Head(events.ActionWant), Revision: 1, Only: true}
	if s.publishes {
		err := client.Send(events.Tracks{Header: events.Head(events.ActionTracks), Revision: 1, Tracks: s.load.kind.tracks(s.number)})
		return errors.Join(err, client.Send(want))
	}
	for i := range s.load.publishers {
		want.Video = append(want.Video, events.WantedVideo{Participant: publisherName(i), Source: events.Camera, Height: s.load.kind.height(i)})
	}
	return client.Send(want)
}

func publisherName(i int) string { return fmt.Sprintf("publisher-%02d", i) }
