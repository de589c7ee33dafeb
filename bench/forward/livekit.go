package main

import (
	"context"
	"net"

	"github.com/spillway-sfu/spillway/bench/others"
)

// liveKit is LiveKit's server, without congestion control, as what would be held
// back is not what is measured.
type liveKit struct{ *others.LiveKit }

func startLiveKit(binary string) (server, error) {
	l, err := others.StartLiveKit(others.LiveKitConfig{Binary: binary, Congestion: "enabled: false", Command: onItsCores})
	if err != nil {
		return nil, err
	}
	return liveKit{l}, nil
}

func (l liveKit) join(ctx context.Context, s seat) (*peer, error) {
	p, err := l.Join(ctx, s.elsewhere())
	if err != nil {
		return nil, err
	}
	return seated(p), nil
}

func (l liveKit) host() net.IP { return net.IPv4(127, 0, 0, 1) }

func (l liveKit) pid() int { return l.PID() }

func (l liveKit) stop() { l.Stop() }
