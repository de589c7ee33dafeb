package gateway

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
)

func (w *world) faults(f Faults) {
	w.Helper()
	if err := w.api.SetFaults(f); err != nil {
		w.Fatal(err)
	}
	if w.api.Faults() != f {
		w.Fatalf("set %+v, got %+v", f, w.api.Faults())
	}
}

func TestFaults(t *testing.T) {
	t.Run("a post is refused", func(t *testing.T) {
		w := newWorld(t)
		c := w.connect("ann")
		w.faults(Faults{RefusePosts: 1})
		var full *types.LimitExceededException
		if err := w.post(c.id, "lost"); !errors.As(err, &full) || statusOf(err) != 429 {
			t.Errorf("got %v", err)
		}
		w.faults(Faults{})
		w.mustPost(c.id, "found")
		c.want("found")
	})
	t.Run("it is down", func(t *testing.T) {
		w := newWorld(t)
		c := w.connect("ann")
		w.faults(Faults{Down: true})
		if err := w.post(c.id, "lost"); statusOf(err) != 503 {
			t.Errorf("a post: %v", err)
		}
		if _, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("the connection goes on: %v", err)
		}
		if _, refusal := w.knock("?who=bob"); refusal.status != 503 {
			t.Errorf("a handshake gets %+v", refusal)
		}
		w.faults(Faults{})
		d := w.connect("bob")
		w.mustPost(d.id, "found")
		d.want("found")
	})
	t.Run("somebody's network is cut", func(t *testing.T) {
		w := newWorld(t)
		ann, bob := w.connect("ann"), w.connect("bob")
		w.faults(Faults{Cut: "user-ann"})
		w.mustPost(ann.id, "lost")
		ann.send(`{"action":"lost"}`)
		w.eventually("what she says is lost", func() bool { return w.api.Stats().Lost == 1 })
		if _, refusal := w.knock("?access_token=ann"); refusal.status != 503 {
			t.Errorf("a handshake gets %+v", refusal)
		}
		w.mustPost(bob.id, "found")
		bob.want("found")
		w.faults(Faults{})
		w.mustPost(ann.id, "found")
		ann.want("found")
		w.uncalled("people", "rest")
	})
	t.Run("a post is dropped", func(t *testing.T) {
		w := newWorld(t)
		c := w.connect("ann")
		w.faults(Faults{DropPosts: 1})
		w.mustPost(c.id, "lost")
		w.faults(Faults{})
		w.mustPost(c.id, "found")
		c.want("found")
	})
	t.Run("a post is repeated", func(t *testing.T) {
		w := newWorld(t)
		c := w.connect("ann")
		w.faults(Faults{RepeatPosts: 1})
		w.mustPost(c.id, "twice")
		w.faults(Faults{})
		w.mustPost(c.id, "once")
		c.want("twice")
		c.want("twice")
		c.want("once")
		c.alive()
	})
	t.Run("a post is overtaken", func(t *testing.T) {
		w := newWorld(t)
		c := w.connect("ann")
		w.faults(Faults{ReorderPosts: 1})
		w.mustPost(c.id, "first")
		w.faults(Faults{})
		w.mustPost(c.id, "second")
		c.want("second")
		c.want("first")
		w.clock.advance(holdTime)
		c.alive() // and not again
	})
	t.Run("a post that nothing overtakes comes late", func(t *testing.T) {
		w := newWorld(t)
		c := w.connect("ann")
		w.faults(Faults{ReorderPosts: 1})
		w.mustPost(c.id, "late")
		w.clock.advance(holdTime - time.Millisecond)
		c.alive()
		w.clock.advance(time.Millisecond)
		c.want("late")
	})
	t.Run("a post is delayed", func(t *testing.T) {
		w := newWorld(t)
		c := w.connect("ann")
		w.faults(Faults{DelayPosts: 1, MaxDelayMs: 1000})
		w.mustPost(c.id, "late")
		c.alive()
		w.clock.advance(time.Second)
		c.want("late")
	})
	t.Run("$disconnect is lost", func(t *testing.T) {
		w := newWorld(t)
		w.faults(Faults{LoseDisconnects: 1})
		c := w.connect("ann")
		_ = c.conn.Close()
		w.eventually("the connection is over", func() bool { return w.api.Stats().Disconnects["1006"] == 1 })
		w.faults(Faults{})
		d := w.connect("bob")
		_ = d.conn.Close()
		if rc := w.next("people")["requestContext"].(map[string]any); rc["connectionId"] != d.id {
			t.Error("the first $disconnect came after all")
		}
		w.uncalled("people")
	})
}

// Half the posts means about half of them, and the same ones for the same seed.
func TestFaultsAreDrawn(t *testing.T) {
	draw := func(seed uint64) (outcomes string) {
		w := newWorld(t, func(o *WebSocketOptions) { o.Seed = seed })
		c := w.connect("ann")
		w.faults(Faults{RefusePosts: 0.5})
		for range 60 {
			if w.post(c.id, "x") == nil {
				outcomes += "+"
			} else {
				outcomes += "-"
			}
		}
		return outcomes
	}
	first := draw(7)
	if n := strings.Count(first, "-"); n < 15 || n > 45 {
		t.Errorf("%s: %d of 60 refused", first, n)
	}
	if again := draw(7); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if other := draw(8); other == first {
		t.Errorf("another seed draws the same: %s", other)
	}
}

func TestFaultsThatMakeNoSense(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		f    Faults
		says string
	}{
		{Faults{LoseDisconnects: 1.5}, "loseDisconnects"},
		{Faults{RefusePosts: -0.1}, "refusePosts"},
		{Faults{DropPosts: math.NaN()}, "dropPosts"},
		{Faults{RepeatPosts: 2}, "repeatPosts"},
		{Faults{ReorderPosts: math.Inf(1)}, "reorderPosts"},
		{Faults{DelayPosts: 0.5}, "maxDelayMs"},
		{Faults{DelayPosts: 0.5, MaxDelayMs: -1}, "maxDelayMs"},
		{Faults{MaxDelayMs: 700_000}, "maxDelayMs"},
	} {
		if err := w.api.SetFaults(c.f); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.f, err)
		}
	}
	if f := w.api.Faults(); f != (Faults{}) {
		t.Errorf("in force: %s", fmt.Sprint(f))
	}
}
