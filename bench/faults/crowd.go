package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/harness"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
	"github.com/spillway-sfu/spillway/shared/token"
)

// How often something of a feed comes when nothing is wrong.
const (
	pictureEvery = time.Second / lightpeer.FrameRate
	soundEvery   = 20 * time.Millisecond
)

// voices is how many people of a room speak: no more than there are audio
// streams, so that everybody is heard all the time.
const voices = 2

// crowd are the people of a fault. They come back by themselves as the SDK does.
type crowd struct {
	stack  *harness.Stack
	ways   ways
	cancel context.CancelFunc
	work   sync.WaitGroup
	people []*person
}

// person is somebody in a room, and what of the others came.
type person struct {
	room, name string
	speaks     bool

	mu    sync.Mutex
	way   *way   // of the newest connection
	steps []step // since begin
	home  string
	moves int
	been  bool  // in the room at any time
	why   error // why there is no home now, or why the person is out
	feeds map[feed]*feedSeen
}

type feed struct {
	from   string
	source events.Source
}

// feedSeen is when something of a feed last came, and the longest time between
// two.
type feedSeen struct {
	last  time.Time
	worst time.Duration
	back  time.Time // after the worst
}

func newCrowd(stack *harness.Stack) (*crowd, context.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	return &crowd{stack: stack, cancel: cancel}, ctx
}

// bring puts people into a room, elsewhere than on some nodes, one with a camera
// each.
func (c *crowd) bring(ctx context.Context, room string, people int, avoid []string) error {
	before := 0
	for _, p := range c.people {
		if p.room == room {
			before++
		}
	}
	for i := before; i < before+people; i++ {
		p := &person{room: room, name: fmt.Sprintf("%s-%d", room, i), speaks: i < voices, feeds: map[feed]*feedSeen{}}
		minted, err := c.stack.Mint(token.Claims{Identity: p.name, Name: p.name, Room: room, Join: true,
			CanPublish: true, CanSubscribe: true, CanPublishData: true, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			return err
		}
		c.people = append(c.people, p)
		c.work.Go(func() {
			err := p.stay(ctx, lightpeer.Staying{
				Joining: lightpeer.Joining{URL: c.stack.Socket, Token: minted, Role: events.Publisher, Avoid: avoid, OnStep: p.onStep},
				Options: lightpeer.Options{Loopback: true},
				Playing: lightpeer.Playing{Layers: []string{"q"}, Sound: p.speaks},
				Crowd:   before + people, OnFrame: p.onFrame, OnHome: p.onHome,
				Socket: func() (net.PacketConn, error) { return p.open(&c.ways) },
			})
			p.mu.Lock()
			defer p.mu.Unlock()
			p.home, p.why = "", errors.Join(errOut, err)
		})
	}
	return nil
}

// againAfter is how long somebody who could not join takes to try again.
const againAfter = time.Second

// stay is in a room for good. Who never got in and is told that it may be tried
// again does so, as people do.
func (p *person) stay(ctx context.Context, how lightpeer.Staying) error {
	for {
		err := lightpeer.Stay(ctx, how)
		p.mu.Lock()
		been := p.been
		p.mu.Unlock()
		var code events.Error
		if been || err == nil || errors.As(err, &code) && !code.Code.Retryable() || wait(ctx, againAfter) != nil {
			return err
		}
	}
}

// open makes the socket of the person's next connection.
func (p *person) open(over *ways) (net.PacketConn, error) {
	w, err := over.open()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.way = w
	p.mu.Unlock()
	return w, nil
}

// errOut says that somebody has left for good.
var errOut = errors.New("is out of the room")

// leave lets everybody go, and waits.
func (c *crowd) leave() {
	c.cancel()
	c.work.Wait()
}

func (p *person) onFrame(from string, source events.Source) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.feeds[feed{from, source}]
	if f == nil {
		f = &feedSeen{last: now}
		p.feeds[feed{from, source}] = f
	}
	if gap := now.Sub(f.last); gap > f.worst {
		f.worst, f.back = gap, now
	}
	f.last = now
}

// step is something on the way back, and when it was done.
type step struct {
	what string
	at   time.Time
}

func (p *person) onStep(s lightpeer.Step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = append(p.steps, step{string(s), time.Now()})
}

func (p *person) onHome(node string, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if why != nil {
		p.steps = append(p.steps, step{why.Error(), time.Now()})
	}
	if node != p.home && node != "" {
		p.moves++
		p.been = true
	}
	p.home, p.why = node, why
}

// expects lists the feeds that the person should get.
func (c *crowd) expects(p *person) []feed {
	var feeds []feed
	for _, q := range c.people {
		if q.room != p.room || q == p {
			continue
		}
		feeds = append(feeds, feed{q.name, events.Camera})
		if q.speaks {
			feeds = append(feeds, feed{q.name, events.Microphone})
		}
	}
	return feeds
}

// lacks lists what does not come to anybody at the moment, with why where that is
// known.
func (c *crowd) lacks(within time.Duration) []string {
	var lacking []string
	for _, p := range c.people {
		feeds := c.expects(p)
		p.mu.Lock()
		switch {
		case p.why != nil:
			lacking = append(lacking, p.name+": "+p.why.Error())
		case p.home == "":
			lacking = append(lacking, p.name+" is not in yet")
		}
		for _, f := range feeds {
			if s := p.feeds[f]; s == nil || time.Since(s.last) > within {
				lacking = append(lacking, fmt.Sprintf("%s lacks the %s of %s", p.name, f.source, f.from))
			}
		}
		p.mu.Unlock()
	}
	return lacking
}

// whole waits until everybody gets everything.
func (c *crowd) whole(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lacking := c.lacks(time.Second)
		if len(lacking) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after a while %d feeds are missing, such as: %v", len(lacking), lacking[:min(len(lacking), 5)])
		case <-tick.C:
		}
	}
}

// on counts who is at home on a node.
func (c *crowd) on(node string) int {
	n := 0
	for _, p := range c.people {
		p.mu.Lock()
		if p.home == node {
			n++
		}
		p.mu.Unlock()
	}
	return n
}

// moved counts who changed the home since the last call of begin.
func (c *crowd) moved() int {
	n := 0
	for _, p := range c.people {
		p.mu.Lock()
		if p.moves > 0 {
			n++
		}
		p.mu.Unlock()
	}
	return n
}

// begin forgets what was measured so far.
func (c *crowd) begin() {
	for _, p := range c.people {
		p.mu.Lock()
		p.moves, p.steps = 0, nil
		for _, f := range p.feeds {
			f.worst = 0
		}
		p.mu.Unlock()
	}
}

// gaps are the longest time for which each of some people saw, or heard, nothing new
// of anybody, beyond the time that is usual, in seconds and sorted.
type gaps struct{ pictures, sound []float64 }

// gaps are those of the people whom keep names.
func (c *crowd) gaps(keep func(*person) bool) (all gaps) {
	for _, p := range c.people {
		if !keep(p) {
			continue
		}
		var picture, voice time.Duration
		p.mu.Lock()
		for f, s := range p.feeds {
			worst := max(s.worst, time.Since(s.last))
			if f.source == events.Microphone {
				voice = max(voice, worst-soundEvery)
			} else {
				picture = max(picture, worst-pictureEvery)
			}
		}
		p.mu.Unlock()
		all.pictures, all.sound = append(all.pictures, picture.Seconds()), append(all.sound, voice.Seconds())
	}
	slices.Sort(all.pictures)
	slices.Sort(all.sound)
	return all
}

// tell writes everybody's way back: what was done, and how long after the fault
// began.
func (c *crowd) tell(out io.Writer, since time.Time) {
	for _, p := range c.people {
		p.mu.Lock()
		if len(p.steps) > 0 {
			fmt.Fprintf(out, "%s:", p.name)
			for _, s := range p.steps {
				fmt.Fprintf(out, " %s %.3f", s.what, s.at.Sub(since).Seconds())
			}
			var first, last time.Time
			for _, f := range p.feeds {
				if first.IsZero() || f.back.Before(first) {
					first = f.back
				}
				if f.back.After(last) {
					last = f.back
				}
			}
			fmt.Fprintf(out, " everything from %.3f to %.3f\n", first.Sub(since).Seconds(), last.Sub(since).Seconds())
		}
		p.mu.Unlock()
	}
}
