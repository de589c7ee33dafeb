package step_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

func TestACrowdRingsOnceASecond(t *testing.T) {
	l := newLab(t, 50)
	for second := range 3 {
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				if err := l.joins(someone(fmt.Sprintf("p%d-%d", second, i), fmt.Sprintf("r%d", i/10))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		l.Pass(time.Second)
	}
	if n := l.Bus.Take(); n != 3 {
		t.Errorf("%d requests for capacity in three seconds", n)
	}
}

// TestWhoCouldNotRingIsServedByThePassUnderWay lets somebody get in line while a
// pass, which has read the line already, waits for its second look.
func TestWhoCouldNotRingIsServedByThePassUnderWay(t *testing.T) {
	l := newLab(t, 1)
	ann, bob := someone("ann", "r"), someone("bob", "s")
	l.joins(ann)
	pause := l.Pause
	defer func() { l.Pause = pause }()
	l.Pause = func(ctx context.Context, d time.Duration) error {
		if d >= time.Second {
			l.Pause = pause
			l.joins(bob)
		}
		return pause(ctx, d)
	}
	l.capacity()
	if n := l.Bus.Take(); n != 1 {
		t.Errorf("%d requests for capacity", n)
	}
	if n := len(l.EC2.Living()); n != 2 {
		t.Errorf("%d instances for two who need one each", n)
	}
}

func TestWhoWaitsIsToldOnlyWhatChanges(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	l.joins(ann)
	l.capacity()
	l.inbox(ann)
	for range 3 {
		l.Pass(5 * time.Second)
		l.capacity()
		l.sweep()
	}
	if mail := l.inbox(ann); len(mail) > 0 {
		t.Errorf("told %v though nothing has changed", mail)
	}
}

// counted counts requests, and how many were made at once.
type counted struct {
	step.Store
	requests, now, most atomic.Int64
}

func (c *counted) in() func() {
	c.requests.Add(1)
	n := c.now.Add(1)
	for {
		most := c.most.Load()
		if n <= most || c.most.CompareAndSwap(most, n) {
			break
		}
	}
	time.Sleep(200 * time.Microsecond) // so that they overlap
	return func() { c.now.Add(-1) }
}

func (c *counted) Get(ctx context.Context, consistent bool, keys ...step.Key) (step.Items, error) {
	defer c.in()()
	return c.Store.Get(ctx, consistent, keys...)
}

func (c *counted) Find(ctx context.Context, q step.Query) (step.Items, error) {
	defer c.in()()
	return c.Store.Find(ctx, q)
}

// TestASweepOverAThousandNodesIsBounded: five thousand rooms on a thousand
// nodes, two requests a node, many at once.
func TestASweepOverAThousandNodesIsBounded(t *testing.T) {
	const nodes, rooms = 1000, 5
	l := newLab(t, 50)
	seat := l.Settings.Profile.SeatLoad(room.Publisher)
	put := func(changes ...control.Change) {
		if err := l.World.Store.Commit(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
	}
	for i := range nodes {
		n := fleet.Node{ID: room.NodeID(fmt.Sprintf("n-%d", i)), State: fleet.Ready, Generation: 1, Region: l.Settings.Region, HelloAt: l.Now(), TouchedAt: l.Now(),
			Capacity: l.Settings.NodeCapacity, Available: l.Settings.NodeCapacity.Minus(seat.Times(4 * rooms))}
		for j := range rooms {
			r := room.New(room.Name(fmt.Sprintf("r-%d-%d", i, j)), l.Settings.Region, l.Settings.Profile, l.Now())
			ref := room.BlockRef{Index: 0, Node: n.ID, Generation: 1, Seats: 4}
			put(control.PutRoom{Room: r.WithBlock(ref)}, control.PutBlock{Block: fleet.Block{Room: r.Name, Node: n.ID, Generation: 1, Seats: 4,
				Load: seat.Times(4), Members: map[room.Key]room.Revision{"k": 1}, CreatedAt: l.Now()}})
		}
		put(control.PutNode{Node: n}, control.PutBeat{Node: n.ID, Beat: fleet.Beat{Generation: 1, Seq: 1, LeaseUntil: l.Now().Add(time.Hour)}})
	}
	c := &counted{Store: l.World.World.Store}
	l.World.World.Store = c
	l.sweep()
	if n := c.requests.Load(); n > 2*nodes+10 {
		t.Errorf("%d requests for %d nodes", n, nodes)
	}
	if n := c.most.Load(); n < 8 || n > 64 {
		t.Errorf("%d requests at once", n)
	}
}

// TestTheEstimateIsWhatTheLastBootTook lets a first node take forty seconds.
func TestTheEstimateIsWhatTheLastBootTook(t *testing.T) {
	l := newLab(t, 1)
	ann, bob := someone("ann", "r"), someone("bob", "s")
	l.joins(ann)
	l.capacity()
	l.Pass(40 * time.Second)
	l.boots(l.EC2.Living()[0], "boot-one")
	l.capacity()
	l.joins(bob)
	l.inbox(bob)
	l.capacity()
	mail := l.inbox(bob)
	if w, ok := mail[len(mail)-1].(events.Waiting); !ok || w.EstimateMs != 40_000 {
		t.Errorf("told %+v", mail)
	}
}
