package placement

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spillway-sfu/spillway/shared/price"
)

// Keys of a logged decision's inputs under which questions and answers stand.
const (
	KeyQuestion = "question" // a [Question], answered by
	KeyChoice   = "choice"   // a [Choice]
	KeyShortage = "shortage" // a [Shortage], answered by
	KeySupply   = "supply"   // a [Supply]
)

// logged is a decision as the log, or the table, holds it.
type logged struct {
	Time   string `json:"time"`
	Step   string `json:"step"`
	Choice string `json:"choice"`
	Why    string `json:"why"`
	Inputs struct {
		Question *Question `json:"question"`
		Choice   *Choice   `json:"choice"`
		Shortage *Shortage `json:"shortage"`
		Supply   *Supply   `json:"supply"`
		Room     string    `json:"room"`
		Waiting  int       `json:"waiting"`
	} `json:"inputs"`
}

// ErrNothingToExplain says that a line is not a decision about where a seat goes,
// what to launch, or what becomes of a node.
var ErrNothingToExplain = errors.New("the line holds no placement, no launch and no node's end")

// Explain makes a logged decision again, from the inputs in its line of JSON,
// and explains it in sentences. Where the same inputs now lead to something
// else, because the code has changed since or the line was altered, the last
// sentence begins with "Differs:".
func Explain(line string) (string, error) {
	var l logged
	if err := json.Unmarshal([]byte(line), &l); err != nil {
		return "", fmt.Errorf("the line is not a decision in JSON: %w", err)
	}
	var b strings.Builder
	if l.Choice != "" {
		fmt.Fprintf(&b, "%s: %s, because %s.\n", l.Step, l.Choice, l.Why)
	}
	in := l.Inputs
	switch {
	case in.Question != nil:
		explainChoice(&b, *in.Question, in.Choice)
	case in.Shortage != nil:
		if err := in.Shortage.plausible(); err != nil {
			return "", err
		}
		explainSupply(&b, *in.Shortage, in.Supply)
	default:
		if !explainNode(&b, []byte(line)) {
			return "", ErrNothingToExplain
		}
	}
	return b.String(), nil
}

// explainNode tells what a decision about one node (a drain, a node that is emptied,
// ended or given up) was made from. Nothing is decided anew: what the node had on it is
// not in the line.
func explainNode(b *strings.Builder, line []byte) bool {
	var l struct {
		Choice string `json:"choice"`
		Inputs struct {
			Node         string            `json:"node"`
			State        string            `json:"state"`
			LeaseEndedMs *int64            `json:"leaseEndedMs"`
			Gone         bool              `json:"instanceGone"`
			Empty        bool              `json:"empty"`
			Blocks       *int              `json:"blocks"`
			WithinMs     *int64            `json:"withinMs"`
			People       *int              `json:"people"`
			Onto         map[string]string `json:"onto"`
			Others       map[string]string `json:"others"`
		} `json:"inputs"`
	}
	in := &l.Inputs
	if json.Unmarshal(line, &l) != nil || l.Choice == "" || in.Node == "" || in.LeaseEndedMs == nil {
		return false
	}
	lease := fmt.Sprintf("runs for %d ms more", -*in.LeaseEndedMs)
	if *in.LeaseEndedMs > 0 {
		lease = fmt.Sprintf("ended %d ms before", *in.LeaseEndedMs)
	}
	fmt.Fprintf(b, "%s is %s; its lease %s.\n", in.Node, in.State, lease)
	if in.Gone {
		b.WriteString("EC2 says that its instance is gone.\n")
	}
	if in.Empty {
		b.WriteString("Nothing is granted on it.\n")
	}
	if in.Blocks != nil {
		fmt.Fprintf(b, "%d blocks of rooms were on it.\n", *in.Blocks)
	}
	switch {
	case in.WithinMs != nil:
		fmt.Fprintf(b, "Its people are asked to go, and made to after %d ms.\n", *in.WithinMs)
	case in.People != nil:
		fmt.Fprintf(b, "Its %d people are asked to go, and nobody is made to.\n", *in.People)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Onto)) {
		fmt.Fprintf(b, "- room %s fits onto %s\n", name, in.Onto[name])
	}
	for _, id := range slices.Sorted(maps.Keys(in.Others)) {
		fmt.Fprintf(b, "- %s stays: %s\n", id, in.Others[id])
	}
	return true
}

func explainChoice(b *strings.Builder, q Question, was *Choice) {
	fmt.Fprintf(b, "A block of %d seats of %d kbps and %d packets/s each was wanted; %d nodes were in question.\n", q.Seats, q.Seat.Kbps, q.Seat.PPS, len(q.Nodes))
	if len(q.Home) > 0 {
		fmt.Fprintf(b, "The room was on %v.\n", q.Home)
	}
	if len(q.Zones) > 0 {
		fmt.Fprintf(b, "Preferred zones: %s.\n", strings.Join(q.Zones, ", "))
	}
	now := Choose(q)
	nodes := slices.Clone(q.Nodes)
	slices.SortStableFunc(nodes, func(x, y Node) int { return int(q.order(x)) - int(q.order(y)) })
	for _, n := range nodes {
		fmt.Fprintf(b, "- %s", n.ID)
		if n.Zone != "" {
			fmt.Fprintf(b, " in %s", n.Zone)
		}
		fmt.Fprintf(b, ", %d kbps and %d packets/s free, takes %d seats: ", n.Available.Kbps, n.Available.PPS, q.Seat.Into(n.Available))
		switch why := q.passed(n); {
		case why != "":
			fmt.Fprintf(b, "passed over, %s.\n", why)
		case n.ID == now.Node:
			fmt.Fprintf(b, "chosen for %d seats, %v.\n", now.Seats, now.Rank)
		case q.rank(n) == now.Rank:
			fmt.Fprintf(b, "as good in kind, but another %s.\n", closer(q, now))
		default:
			fmt.Fprintf(b, "possible, but only as %q.\n", q.rank(n))
		}
	}
	if now.Node == "" {
		b.WriteString("None of them can take a seat.\n")
	}
	verdict(b, was != nil && *was == now, was, now)
}

// plausible refuses what no deployment can have asked, which would take for ever
// to answer.
func (s Shortage) plausible() error {
	const most = 100_000
	seats := 0
	for _, n := range s.Needs {
		if n.Seats < 0 || n.Rooms < 0 || n.Seats > most || n.Rooms > most || n.Seat.Kbps < 0 || n.Seat.PPS < 0 {
			return fmt.Errorf("%d rooms of %d seats of %v cannot be", n.Rooms, n.Seats, n.Seat)
		}
		if seats += n.Seats * n.Rooms; seats > most {
			return fmt.Errorf("more than %d seats cannot be explained", most)
		}
	}
	for _, o := range s.Offers {
		if o.Capacity.Kbps < 1 || o.Capacity.PPS < 1 || o.Hour < 0 {
			return fmt.Errorf("a type %q that carries %v for %v cannot be", o.Type, o.Capacity, o.Hour)
		}
	}
	return nil
}

// order lists the best first and those passed over last.
func (q Question) order(n Node) Rank {
	if r := q.rank(n); r != Unfit {
		return r
	}
	return FarSome + 1
}

// closer says what decided between nodes of one rank.
func closer(q Question, c Choice) string {
	switch {
	case q.Spread != 0:
		return "was drawn among equals after a conflict"
	case c.Rank == HomeSome || c.Rank == ZoneSome || c.Rank == FarSome:
		return "takes more seats"
	}
	return "is fuller"
}

func explainSupply(b *strings.Builder, s Shortage, was *Supply) {
	seats, rooms := 0, 0
	for _, n := range s.Needs {
		seats += n.Seats * n.Rooms
		rooms += n.Rooms
	}
	fmt.Fprintf(b, "%d seats in %d rooms were wanted:\n", seats, rooms)
	for _, n := range s.Needs {
		fmt.Fprintf(b, "- %d rooms of %d seats, each seat %d kbps and %d packets/s\n", n.Rooms, n.Seats, n.Seat.Kbps, n.Seat.PPS)
	}
	rest := seatsIn(pack(pieces(s.Needs), slices.Clone(s.Bins), s.whole()))
	fmt.Fprintf(b, "%d nodes were coming already; %d seats did not fit into them.\n", len(s.Bins), rest)
	money := "any money"
	if s.Money < Unlimited {
		money = s.Money.String() + " an hour"
	}
	fmt.Fprintf(b, "At most %d more nodes and %s were allowed, of these types:\n", s.Nodes, money)
	now := Provide(s)
	for i, o := range s.Offers {
		n := 0
		for _, chosen := range now.Launch {
			if chosen == i {
				n++
			}
		}
		fmt.Fprintf(b, "- %s, %d kbps and %d packets/s for %v an hour: %d\n", o.Type, o.Capacity.Kbps, o.Capacity.PPS, o.Hour, n)
	}
	fmt.Fprintf(b, "So %d nodes for %v an hour, the cheapest set found that carries what may be carried.\n", len(now.Launch), now.Hour)
	switch now.Limit {
	case NoLimit:
	case NodeLimit:
		fmt.Fprintf(b, "The limit of nodes was reached: %d seats had to go without.\n", now.Unserved)
	case MoneyLimit:
		fmt.Fprintf(b, "The limit of money was reached: %d seats had to go without.\n", now.Unserved)
	case TypeLimit:
		fmt.Fprintf(b, "No type carries one of the seats: %d had to go without.\n", now.Unserved)
	}
	verdict(b, was != nil && sameSupply(*was, now), was, now)
}

func sameSupply(a, b Supply) bool {
	if len(a.Launch) == 0 && len(b.Launch) == 0 {
		a.Launch, b.Launch = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

func verdict(b *strings.Builder, same bool, was, now any) {
	if same {
		b.WriteString("Made again from these inputs, the decision is the same.\n")
		return
	}
	before, _ := json.Marshal(was) // plain structs
	after, _ := json.Marshal(now)
	fmt.Fprintf(b, "Differs: the line says %s, made again it is %s.\n", before, after)
}

// Unlimited is money without a bound.
const Unlimited price.Micros = 1 << 50
