package trial

import (
	"fmt"
	"strings"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// say tells a write in the words that matter when a trace is read. What it
// is conditioned on comes last, after "if".
func say(change control.Change) string {
	switch x := change.(type) {
	case control.PutRoom:
		return fmt.Sprintf("room %s if revision %d", sayRoom(x.Room), x.If)
	case control.DeleteRoom:
		return fmt.Sprintf("no room %s if revision %d", x.Name, x.If)
	case control.PutBlock:
		return "a new " + sayBlock(x.Block)
	case control.MoveBlock:
		return fmt.Sprintf("%s if on %s/%d", sayBlock(x.Block), x.From, x.If)
	case control.ShrinkBlock:
		return fmt.Sprintf("%s if of %d seats, without %s", sayBlock(x.Block), x.From, x.Member)
	case control.DeleteBlock:
		return fmt.Sprintf("no block %d of %s if on %s/%d and of nobody but %s", x.Index, x.Room, x.Node, x.Generation, x.Member)
	case control.TakeSeat:
		return fmt.Sprintf("a seat in block %d of %s for %s, revision %d, if generation %d", x.Index, x.Room, x.Key, x.Revision, x.Generation)
	case control.ReleaseSeat:
		return fmt.Sprintf("no seat in block %d of %s for %s if revision %d", x.Index, x.Room, x.Key, x.Revision)
	case control.ClaimLoad:
		return fmt.Sprintf("%v of %s/%d claimed", x.Load, x.Node, x.Generation)
	case control.ReturnLoad:
		return fmt.Sprintf("%v of %s/%d returned", x.Load, x.Node, x.Generation)
	case control.PutParticipant:
		return fmt.Sprintf("participant %s if revision %d", sayParticipant(x.Participant), x.If)
	case control.PutWait:
		return fmt.Sprintf("%s in line for %s, session %s, avoiding %v, since %s", x.Wait.Key, x.Wait.Room, x.Wait.Session, x.Wait.Avoid, x.Wait.Since.Sub(epoch))
	case control.PutLaunch:
		return fmt.Sprintf("launch %s: %s, attempt %d, if %q", x.Launch.ID, x.Launch.State, x.Launch.Attempt, x.If)
	case control.PutNode:
		return fmt.Sprintf("node %s: %s, %v of %v available, if generation %d", sayNode(x.Node), x.Node.State, x.Node.Available, x.Node.Capacity, x.If)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T%+v", change, change), "control.")
}

func sayNode(n fleet.Node) string { return fmt.Sprintf("%s/%d (%s)", n.ID, n.Generation, n.Boot) }

func sayBlock(b fleet.Block) string {
	return fmt.Sprintf("block %d of %s, %d seats for %ss on %s/%d, with %v", b.Index, b.Room, b.Seats, b.Role, b.Node, b.Generation, b.Members)
}

func sayParticipant(p room.Participant) string {
	out := fmt.Sprintf("%s of %s, %s, session %s, revision %d, block %d", p.Key, p.Room, p.Role, p.Session, p.Revision, p.Block)
	if p.Held.Revision > 0 {
		out += fmt.Sprintf(", holding %+v", p.Held)
	}
	if !p.Removed.IsZero() {
		out += ", removed"
	}
	return out
}

func sayRoom(r room.Room) string {
	var blocks, tree []string
	for _, b := range r.Blocks {
		full := ""
		if b.Full {
			full = " full"
		}
		blocks = append(blocks, fmt.Sprintf("%d: %d on %s/%d%s", b.Index, b.Seats, b.Node, b.Generation, full))
	}
	for _, n := range r.Nodes {
		if n.Feeder != "" {
			tree = append(tree, fmt.Sprintf("%s from %s", n.Node, n.Feeder))
		}
	}
	out := fmt.Sprintf("%s: %d seats left, revision %d, blocks [%s]", r.Name, r.SeatsLeft, r.Revision, strings.Join(blocks, "; "))
	if len(tree) > 0 {
		out += fmt.Sprintf(", pipes [%s]", strings.Join(tree, "; "))
	}
	for _, s := range r.Suspects {
		out += fmt.Sprintf(", suspects %s", s.Node)
	}
	return out
}
