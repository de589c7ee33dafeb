package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// phase is a span of a call with one state of the network.
type phase struct {
	name   string
	lasts  time.Duration
	settle time.Duration // not measured, at its begin
	way    lightpeer.Way
	// back says that a phase is about coming back: layer is what is expected.
	back  bool
	layer int
}

// scenario is one call.
type scenario []phase

const delay = 25 * time.Millisecond

// scenarios are those of the table; each lasts about so long, times scale.
func scenarios(scale float64) []scenario {
	s := func(seconds float64) time.Duration { return time.Duration(seconds * scale * float64(time.Second)) }
	settle := min(3*time.Second, s(6))
	way := func(kbps int64, loss float64, jitter time.Duration) lightpeer.Way {
		return lightpeer.Way{Kbps: kbps, Delay: delay, Loss: loss, Jitter: jitter}
	}
	return []scenario{
		{{name: "3 Mbps", lasts: s(20), settle: settle, way: way(3000, 0, 0)}},
		{
			{name: "3 Mbps, before a drop", lasts: s(10), settle: settle, way: way(3000, 0, 0)},
			{name: "500 kbps, suddenly", lasts: s(12), way: way(500, 0, 0), back: true},
			{name: "3 Mbps, again", lasts: s(16), way: way(3000, 0, 0), back: true, layer: 2},
		},
		{{name: "5 % lost", lasts: s(20), settle: settle, way: way(3000, 0.05, 0)}},
		{{name: "10 % lost, 100 ms jitter", lasts: s(20), settle: settle, way: way(3000, 0.1, 100*time.Millisecond)}},
		{{name: "400 kbps from the start", lasts: s(20), settle: settle, way: way(400, 0, 0)}},
	}
}

// call runs one scenario and measures each of its phases.
func call(ctx context.Context, s server, name string, phases scenario) (all []figures, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	epoch := time.Now()
	p := &publisher{random: rand.New(rand.NewPCG(1, 1)), epoch: epoch}
	r := newReceiver(epoch)
	var closing []func() error
	defer func() {
		cancel()
		running.Wait()
		for _, c := range closing {
			err = errors.Join(err, c())
		}
	}()
	joining, joined := context.WithTimeout(ctx, 20*time.Second)
	defer joined()
	if p.peer, err = s.publish(joining, func() { p.key.Store(true) }); err != nil {
		return nil, err
	}
	closing = append(closing, p.peer.Close)
	running.Go(func() { p.publish(ctx, s.from()) })
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(4 << 20)
	// Handshakes that get lost say nothing of media: they differ by chance.
	calm := phases[0].way
	calm.Loss, calm.Jitter = 0, 0
	link := lightpeer.NewLink(conn, calm, lightpeer.Way{Delay: delay})
	time.Sleep(300 * time.Millisecond) // the SFU learns of the tracks
	peer, err := s.watch(joining, link, r.take)
	if err != nil {
		return nil, errors.Join(err, link.Close())
	}
	closing = append(closing, peer.Close)
	r.mu.Lock()
	r.pc = peer.PC
	r.mu.Unlock()
	for _, ph := range phases {
		link.Down(ph.way)
		began := time.Since(epoch)
		select {
		case <-time.After(ph.lasts):
		case <-ctx.Done():
			return all, ctx.Err()
		}
		f := r.between(began+ph.settle, began+ph.lasts)
		f.Scenario, f.SFU, f.Available = ph.name, name, ph.way.Kbps
		if ph.back {
			f.Recovery = r.recovered(began, began+ph.lasts, ph.layer)
		}
		all = append(all, f)
	}
	return all, nil
}
