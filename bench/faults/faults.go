package main

import (
	"context"
	"slices"
	"syscall"
	"time"
)

// fault is one way to do harm, with whom it befalls.
type fault struct {
	name string
	on   kind
	// used nodes have people on them when it begins, spare ones have nobody.
	used, spare int
	// rooms are how many rooms are on each used node; with spans, how many there are,
	// each on all used nodes.
	rooms int
	spans bool
	// strike does the harm and returns when it is over but for what people do about
	// it.
	strike func(context.Context, *scene) error
	// moves says that everybody on the struck nodes has to change.
	moves bool
	// ends is how many nodes may end by it.
	ends int
	// still is how long a picture may stand still on a machine that does other
	// things, too.
	still time.Duration
	// outages is how many times as long as others it lasts; 0 means once.
	outages int
}

// scene is a fault being tried out.
type scene struct {
	*stand
	*crowd
	people context.Context // until the crowd leaves
	used   []node
	struck []string // nodes whose people are to go elsewhere
	size   int      // people in a room
	outage time.Duration
}

// faults are all that `make faults` tries, in this order.
var faults = []fault{
	{name: "drain of a node, room elsewhere", used: 1, spare: 1, rooms: 4, moves: true, ends: 1, still: 2 * time.Second, strike: drainOne},
	{name: "two drains at once", used: 2, spare: 1, rooms: 2, moves: true, ends: 2, still: 2 * time.Second,
		strike: func(ctx context.Context, s *scene) error { return s.drainAll(ctx, 2) }},
	{name: "drain at its deadline: all are made to go", used: 1, spare: 1, rooms: 2, moves: true, ends: 1, still: 10 * time.Second,
		strike: func(ctx context.Context, s *scene) error {
			s.struck = ids(s.used)
			return s.drain(ctx, s.used[0].ID+"/drain?withinSeconds=0")
		}},
	{name: "spot notice by the host (IMDS)", used: 1, spare: 1, rooms: 2, moves: true, ends: 1, still: 2 * time.Second, strike: hostTakes("spot")},
	{name: "spot notice by EventBridge", used: 1, spare: 1, rooms: 2, moves: true, ends: 1, still: 2 * time.Second, strike: spotEvent},
	{name: "scheduled maintenance (AWS Health)", used: 1, spare: 1, rooms: 2, moves: true, ends: 1, still: 2 * time.Second, strike: maintenanceEvent},
	{name: "kill -9 of one node of three", used: 3, rooms: 2, moves: true, ends: 1, still: 10 * time.Second, strike: killOne},
	{name: "new home killed during a move", used: 1, spare: 2, rooms: 2, moves: true, ends: 2, still: 10 * time.Second, strike: killTheNewHome},
	{name: "old home killed during a move", used: 1, spare: 1, rooms: 2, moves: true, ends: 1, still: 10 * time.Second, strike: killTheOldHome},
	{name: "host goes silent (SIGSTOP)", used: 1, spare: 1, rooms: 2, moves: true, ends: 1, still: 10 * time.Second,
		strike: func(_ context.Context, s *scene) error {
			s.struck = ids(s.used)
			return s.signal(s.used[0], syscall.SIGSTOP)
		}},
	{name: "network cut around a node", used: 1, spare: 1, rooms: 2, moves: true, ends: 1, still: 10 * time.Second, strike: cutOff},
	{name: "gateway down", used: 2, rooms: 2, still: 2 * time.Second, strike: func(ctx context.Context, s *scene) error {
		return s.during(ctx, s.gateway(ctx, gatewayFaults{Down: true}), func() error { return s.gateway(ctx, gatewayFaults{}) })
	}},
	{name: "store down (SIGSTOP)", used: 2, rooms: 2, still: 2 * time.Second, strike: func(ctx context.Context, s *scene) error {
		pid, err := s.storeProcess()
		if err == nil {
			err = s.send(pid, syscall.SIGSTOP)
		}
		return s.during(ctx, err, func() error { s.thaw(); return nil })
	}},
	{name: "control plane stopped (SIGSTOP)", used: 2, rooms: 2, still: 2 * time.Second, outages: 4, strike: func(ctx context.Context, s *scene) error {
		return s.during(ctx, s.send(s.PID(), syscall.SIGSTOP), func() error { s.thaw(); return nil })
	}},
	{name: "a new version is deployed", used: 1, rooms: 2, moves: true, ends: 1, still: 2 * time.Second, strike: deploy},
	{name: "kill -9 of one node of three, rooms over all", on: wide, used: 3, spare: 1, rooms: 2, spans: true, moves: true, ends: 1, still: 10 * time.Second, strike: killOne},
	{name: "drain of one node of three, rooms over all", on: wide, used: 3, spare: 1, rooms: 2, spans: true, moves: true, ends: 1, still: 2 * time.Second, strike: drainOne},
	{name: "sockets at the limit of their age", on: brief, used: 1, rooms: 2, still: 2 * time.Second, strike: outlive},
}

func drainOne(ctx context.Context, s *scene) error { return s.drainAll(ctx, 1) }

func killOne(_ context.Context, s *scene) error {
	s.struck = ids(s.used[:1])
	return s.signal(s.used[0], syscall.SIGKILL)
}

func (s *scene) drainAll(ctx context.Context, nodes int) error {
	s.struck = ids(s.used[:nodes])
	failed := make(chan error, nodes)
	for _, id := range s.struck {
		go func() { failed <- s.drain(ctx, id+"/drain") }()
	}
	var err error
	for range nodes {
		if e := <-failed; e != nil {
			err = e
		}
	}
	return err
}

// killTheNewHome drains a node and kills where its people go as soon as one of
// them is there.
func killTheNewHome(ctx context.Context, s *scene) error {
	if err := drainOne(ctx, s); err != nil {
		return err
	}
	n, err := s.newHome(ctx)
	if err != nil {
		return err
	}
	s.struck = append(s.struck, n.ID)
	return s.signal(n, syscall.SIGKILL)
}

// killTheOldHome drains a node and kills it as soon as one of its people is
// elsewhere.
func killTheOldHome(ctx context.Context, s *scene) error {
	if err := drainOne(ctx, s); err != nil {
		return err
	}
	if _, err := s.newHome(ctx); err != nil {
		return err
	}
	return s.signal(s.used[0], syscall.SIGKILL)
}

// newHome waits until a node that was not used has people.
func (s *scene) newHome(ctx context.Context) (node, error) {
	for {
		ready, err := s.ready(ctx)
		if err != nil {
			return node{}, err
		}
		for _, n := range ready {
			if n.Participants > 0 && !slices.Contains(ids(s.used), n.ID) {
				return n, nil
			}
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return node{}, err
		}
	}
}

// during waits for the outage that has begun, lets somebody join a room meanwhile,
// and ends it.
func (s *scene) during(ctx context.Context, began error, end func() error) error {
	if began != nil {
		return began
	}
	if err := s.bring(s.people, "late", 1, nil); err != nil {
		return err
	}
	if err := wait(ctx, s.outage); err != nil {
		return err
	}
	return end()
}
