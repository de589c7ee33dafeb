package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/bench/others"
	"github.com/spillway-sfu/spillway/bench/plain"
	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

// server is what a call goes over.
type server interface {
	// publish lets in who sends; onKey is told that a key frame is wanted.
	publish(ctx context.Context, onKey func()) (*others.Peer, error)
	// watch lets in who receives the publisher's largest picture, over a socket
	// that is the peer's from then on.
	watch(ctx context.Context, socket net.PacketConn, take func(stream string, p *rtp.Packet)) (*others.Peer, error)
	// from is the first layer that a publisher is to send: an SFU that does not
	// choose gets the largest alone.
	from() int
	close() error
}

// sfus are those that are compared, by name. Each begins once, and then makes a
// server for each call; end is called last.
var sfus = []struct {
	name  string
	begin func() (open func(call int) (server, error), end func(), err error)
}{
	{"spillway", func() (func(int) (server, error), func(), error) { return openSpillway, func() {}, nil }},
	{"pion", func() (func(int) (server, error), func(), error) { return openPion, func() {}, nil }},
	{"livekit", beginLiveKit},
}

const publisherName = "publisher"

// ours is a server that speaks our contract.
type ours struct {
	join  func(ctx context.Context, o events.Offer) (string, error)
	first int
	end   func() error
}

func (s ours) from() int    { return s.first }
func (s ours) close() error { return s.end() }

func openSpillway(int) (server, error) {
	media, err := sfu.New(sfu.Config{Node: "node-1", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	join := func(ctx context.Context, o events.Offer) (string, error) { return media.Join(ctx, o, nil) }
	end := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return media.Close(ctx, events.CodeNodeGone)
	}
	return ours{join, 0, end}, nil
}

func openPion(int) (server, error) {
	p := plain.New()
	return ours{func(_ context.Context, o events.Offer) (string, error) { return p.Answer(o) }, len(layers) - 1, p.Close}, nil
}

func (s ours) publish(ctx context.Context, onKey func()) (*others.Peer, error) {
	client, err := s.connect(ctx, publisherName, events.Publisher, lightpeer.Options{Reports: true, OnKeyRequest: func(events.Source, string) { onKey() }})
	if err != nil {
		return nil, err
	}
	p := &others.Peer{PC: client.Connection(), Camera: map[string]*lightpeer.Sender{}, Microphone: client.Microphone(), Close: client.Close}
	for _, l := range layers {
		p.Camera[l.rid] = client.Camera(l.rid)
	}
	tracks := events.Tracks{Header: events.Head(events.ActionTracks), Revision: 1, Tracks: []events.Track{
		{Source: events.Microphone}, {Source: events.Camera, Width: 1280, Height: 720}}}
	if err := client.Send(tracks); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return p, nil
}

func (s ours) watch(ctx context.Context, socket net.PacketConn, take func(string, *rtp.Packet)) (*others.Peer, error) {
	client, err := s.connect(ctx, "receiver", events.Viewer, lightpeer.Options{Socket: socket, OnPacket: take})
	if err != nil {
		return nil, err
	}
	want := events.Want{Header: events.Head(events.ActionWant), Revision: 1, Video: []events.WantedVideo{
		{Participant: publisherName, Source: events.Camera, Height: 720}}}
	if err := client.Send(want); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return &others.Peer{PC: client.Connection(), Close: client.Close}, nil
}

// connect joins somebody.
func (s ours) connect(ctx context.Context, name string, role events.Role, opt lightpeer.Options) (*lightpeer.Client, error) {
	opt.Loopback, opt.Audio, opt.Video = true, 1, 1
	client, err := lightpeer.New(opt)
	if err != nil {
		return nil, err
	}
	offer, media, err := client.Offer()
	if err == nil {
		var answer string
		answer, err = s.join(ctx, events.Offer{
			Header: events.Head(events.ActionOffer), Generation: 1, Room: "room",
			Profile: events.Profile{AudioStreams: 1, VideoStreams: 1, ReceiveKbps: 10_000, SendKbps: 5_000, VideoCodecs: []string{"vp8"}},
			Person:  events.Person{Key: "key-" + name, Identity: name, Name: name, Role: role},
			Session: "session-" + name, Revision: 1, ID: "1", Ticket: "ticket", Offer: offer, Media: media,
		})
		if err == nil {
			err = client.Accept(ctx, answer)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), client.Close())
	}
	return client, nil
}

// liveKit is a room of LiveKit's server.
type liveKit struct {
	*others.LiveKit
	room string
}

// beginLiveKit starts LiveKit with its own estimate on the sending side. Its default
// waits for what receivers estimate (REMB), which browsers send and our peers do
// not. Pictures may pause, as everywhere else here.
func beginLiveKit() (func(int) (server, error), func(), error) {
	binary, err := exec.LookPath("livekit-server")
	if err != nil {
		binary, err = exec.LookPath("build/peers/livekit-server")
	}
	if err != nil {
		return nil, nil, errors.New("livekit-server is not installed (make bench-peers): left out")
	}
	l, err := others.StartLiveKit(others.LiveKitConfig{Binary: binary, Congestion: "enabled: true, allow_pause: true, use_send_side_bwe: true"})
	if err != nil {
		return nil, nil, err
	}
	return func(call int) (server, error) { return liveKit{l, fmt.Sprint("room-", call)}, nil }, l.Stop, nil
}

func (l liveKit) from() int { return 0 }

// close leaves the server to the other rooms.
func (l liveKit) close() error { return nil }

func (l liveKit) publish(ctx context.Context, onKey func()) (*others.Peer, error) {
	s := others.Seat{Room: l.room, Name: publisherName, Publishes: true, Sound: true, Media: lightpeer.Options{Loopback: true, Reports: true},
		OnKey: func(string) { onKey() }}
	for _, layer := range layers {
		s.Camera = append(s.Camera, layer.rid)
	}
	return l.Join(ctx, s)
}

func (l liveKit) watch(ctx context.Context, socket net.PacketConn, take func(string, *rtp.Packet)) (*others.Peer, error) {
	return l.Join(ctx, others.Seat{Room: l.room, Name: "receiver", Media: lightpeer.Options{Loopback: true, Socket: socket, OnPacket: take},
		Height: func(string) int { return 720 }})
}

// run runs one scenario over a server of its own.
func run(ctx context.Context, name string, s server, phases scenario) ([]figures, error) {
	f, err := call(ctx, s, name, phases)
	return f, errors.Join(err, s.close())
}
