package trial

import (
	"fmt"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
)

// nodeToken is what lets a node in at the gateway, for a while. What seals real
// ones is package token's affair.
type nodeToken struct {
	node   room.NodeID
	issued int64
}

func (t *trial) mint(node room.NodeID, issued int64) nodeToken { return nodeToken{node, issued} }

func (k nodeToken) String() string { return fmt.Sprintf("%d %s", k.issued, k.node) }

// nodeTokenFor is [step.World.NodeToken].
func (t *trial) nodeTokenFor(node room.NodeID, now time.Time) (string, error) {
	t.renewed++
	return t.mint(node, int64(now.Sub(epoch))).String(), nil
}

// renew takes another token, unless there is none.
func (n *node) renew(token string) {
	if token == "" {
		return
	}
	var k nodeToken
	if _, err := fmt.Sscanf(token, "%d %s", &k.issued, &k.node); err != nil {
		n.t.fail("%s is given a token that is none: %q", n.id, token)
	}
	if k.node != room.NodeID(n.id) {
		n.t.fail("%s is given the token of %s", n.id, k.node)
	}
	n.token = k
}

// admit is a node's connection, nil while that is impossible. A node whose token
// is over is turned away, as its life would be the last: a living one must have
// been given another before.
func (g *gateway) admit(n *node) *conn {
	life := int64(g.t.weather.tokenLasts)
	if life > 0 && g.t.clock.now >= n.token.issued+life {
		if n.generation > 0 {
			g.t.fail("%s is turned away: its token ended %s ago", n.id, time.Duration(g.t.clock.now-n.token.issued-life))
		}
		return nil
	}
	caller := control.Caller{Node: room.NodeID(n.id)}
	if life > 0 {
		caller.RenewAt = epoch.Add(time.Duration(n.token.issued + life/2))
	}
	c := g.dial(caller, events.ToNode, n)
	if last := g.t.weather.socketLasts; c != nil && last > 0 {
		g.t.after(last, func() {
			if c.open {
				g.t.note("the gateway ends %s, which is too old", c.id)
				g.close(c.id)
			}
		})
	}
	return c
}
