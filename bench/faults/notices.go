package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
	"github.com/spillway-sfu/spillway/shared/token"
)

// noticeFor is how long before the end a machine's end is told: what a spot
// instance has.
const noticeFor = 2 * time.Minute

// hostTakes has the host of a node's machine say that it takes the machine away.
func hostTakes(why string) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		s.struck = ids(s.used)
		return s.Post(ctx, "/local/host/"+s.used[0].Instance, map[string]any{"why": why, "ends": time.Now().Add(noticeFor)}, nil)
	}
}

// event sends what a service of AWS says about a node's machine.
func (s *scene) event(ctx context.Context, source, detailType string, detail any) error {
	s.struck = ids(s.used)
	return s.Post(ctx, "/local/event", map[string]any{"source": source, "detail-type": detailType, "detail": detail}, nil)
}

func spotEvent(ctx context.Context, s *scene) error {
	return s.event(ctx, events.BusSourceEC2, events.DetailSpotNotice, map[string]string{"instance-id": s.used[0].Instance, "instance-action": "terminate"})
}

func maintenanceEvent(ctx context.Context, s *scene) error {
	return s.event(ctx, events.BusSourceHealth, "AWS Health Event", map[string]any{
		"service": "EC2", "eventTypeCategory": "scheduledChange", "startTime": time.Now().Add(noticeFor).UTC().Format(time.RFC1123),
		"affectedEntities": []map[string]string{{"entityValue": s.used[0].Instance}},
	})
}

// deploy launches nodes as another version from now on; those there are go.
func deploy(ctx context.Context, s *scene) error {
	s.struck = ids(s.used)
	return s.Post(ctx, "/local/deploy", map[string]string{"version": "next"}, nil)
}

// cutOff cuts the network between a node and everybody, the gateway among them,
// while the node goes on.
func cutOff(ctx context.Context, s *scene) error {
	s.struck = ids(s.used)
	for _, p := range s.crowd.people {
		p.mu.Lock()
		if p.home == s.used[0].ID && p.way != nil {
			s.ways.sever(p.way.node())
		}
		p.mu.Unlock()
	}
	return s.gateway(ctx, gatewayFaults{Cut: "node " + s.used[0].ID})
}

// outlive waits until every socket of the node would have reached the gateway's
// limit, while people come one after the other: no message about them may be lost.
func outlive(ctx context.Context, s *scene) error {
	began, err := s.sockets(ctx)
	if err != nil {
		return err
	}
	for until := time.Now().Add(briefLife * 5 / 4); time.Now().Before(until); {
		if err := s.visit(ctx); err != nil {
			return fmt.Errorf("somebody who came meanwhile: %w", err)
		}
	}
	ended, err := s.sockets(ctx)
	if err != nil {
		return err
	}
	const slots = 2
	if n := ended.In["hello"] - began.In["hello"]; n < slots {
		return fmt.Errorf("of %d sockets, %d were replaced", slots, n)
	}
	if n := ended.Disconnects["1001"] - began.Disconnects["1001"]; n > 0 {
		return fmt.Errorf("the gateway ended %d sockets at the limit of their age", n)
	}
	return nil
}

// gatewayStats are what the gateway counts.
type gatewayStats struct{ In, Disconnects map[string]int64 }

func (s *scene) sockets(ctx context.Context) (gatewayStats, error) {
	var stats struct{ Gateway gatewayStats }
	err := s.Call(ctx, "GET", "/local/stats", &stats)
	return stats.Gateway, err
}

// visit joins a room of the scene once, without trying again, and leaves it.
func (s *scene) visit(ctx context.Context) error {
	c, err := lightpeer.New(lightpeer.Options{Loopback: true})
	if err != nil {
		return err
	}
	minted, err := s.Mint(token.Claims{Identity: "visitor", Room: s.crowd.people[0].room, Join: true, CanSubscribe: true, Expires: time.Now().Add(time.Hour)})
	if err == nil {
		_, err = c.Join(ctx, lightpeer.Joining{URL: s.Socket, Token: minted, Role: events.Viewer})
	}
	if err == nil {
		err = c.Send(events.Goodbye{Header: events.Head(events.ActionGoodbye)})
	}
	if err == nil {
		select {
		case <-c.Closed(): // the node has heard it
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return errors.Join(err, c.Close())
}

// gatewayFaults are the gateway's faults that are used here.
type gatewayFaults struct {
	Down bool   `json:"down"`
	Cut  string `json:"cut"`
}

// gateway switches the gateway's faults.
func (s *stand) gateway(ctx context.Context, f gatewayFaults) error {
	var now json.RawMessage
	return s.Post(ctx, "/local/faults", f, &now)
}
