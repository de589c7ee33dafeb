package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/spillway-sfu/spillway/bench/plain"
	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

// spillway is the media part of a node.
type spillway struct{ *sfu.SFU }

func newSpillway() (spillway, error) {
	s, err := sfu.New(sfu.Config{Node: "node-1", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Log: slog.New(slog.DiscardHandler)})
	return spillway{s}, err
}

func (s spillway) join(ctx context.Context, o events.Offer) (string, error) {
	return s.Join(ctx, o, nil)
}

func (s spillway) from() int { return 0 }

// pion is what Spillway is compared with.
type pion struct{ *plain.SFU }

func (s pion) join(_ context.Context, o events.Offer) (string, error) { return s.Answer(o) }

func (s pion) from() int { return len(layers) - 1 }

// run runs one scenario over a new server.
func run(ctx context.Context, sfu string, s scenario) (f []figures, err error) {
	if sfu == "pion" {
		p := pion{plain.New()}
		f, err = call(ctx, p, sfu, s)
		return f, errors.Join(err, p.Close())
	}
	media, err := newSpillway()
	if err != nil {
		return nil, err
	}
	f, err = call(ctx, media, sfu, s)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return f, errors.Join(err, media.Close(ctx, events.CodeNodeGone))
}
