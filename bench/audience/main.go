// Command audience brings a crowd of light real peers (ICE, DTLS, SRTP) into one
// room of a local stack that spreads over several node processes, and tells what
// each hop costs: packets, loss, latency by depth in the tree, CPU and memory of each
// node; then it kills a node that feeds others, and tells what that costs.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spillway-sfu/spillway/infra/local/harness"
	"github.com/spillway-sfu/spillway/shared/room"
)

const roomName = "audience"

// options are the command line.
type options struct {
	root                        string
	viewers, nodes, publishers  int
	joining, limit              int
	measure, ping, back, within time.Duration
	kill                        bool
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "`folder` of the project, in which make build has been run")
	flag.IntVar(&o.viewers, "viewers", 500, "how `many` watch")
	flag.IntVar(&o.nodes, "nodes", 8, "over about how `many` nodes")
	flag.IntVar(&o.publishers, "publishers", 2, "how `many` are on stage, a small picture each, 10 frames a second")
	flag.IntVar(&o.joining, "joining", 8, "how `many` join at a time")
	flag.IntVar(&o.limit, "limit", 0, "how `many` the room takes; a tenth more than come when 0")
	flag.DurationVar(&o.measure, "measure", 15*time.Second, "how `long` is measured")
	flag.DurationVar(&o.within, "within", 15*time.Minute, "how `long` they have to come in; it goes on with those who have")
	flag.DurationVar(&o.ping, "ping", 2*time.Second, "how `often` each asks for a sign of life; the SDK does twice a second")
	flag.DurationVar(&o.back, "back", time.Minute, "how `long` those of a dead node have to come back")
	flag.BoolVar(&o.kill, "kill", true, "kill a node that feeds others")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench/audience:", err)
		os.Exit(1)
	}
}

// ints makes pointers for a wish.
func ints[N int | int64](n N) *N { return &n }

// profile is the room's: what the light picture needs, or, of a small audience, so
// much that its share fills the smallest node there is.
func (o options) profile() (room.Wish, room.Profile, error) {
	usual := room.Default().SeatLoad(room.Publisher).Kbps
	receive := max(100*int64(o.publishers), usual/int64(o.share()+o.publishers))
	everybody := o.viewers + o.publishers
	w := room.Wish{
		MaxParticipants: ints(cmp.Or(o.limit, everybody+everybody/10+1)), MaxPublishers: ints(o.publishers), AudioStreams: ints(1), VideoStreams: ints(max(1, o.publishers)),
		ReceiveKbps: ints(receive), SendKbps: ints(int64(150)),
	}
	p, err := w.Profile(room.Default())
	return w, p, err
}

// share is how many viewers a node is to have.
func (o options) share() int { return (o.viewers + o.nodes - 1) / o.nodes }

// seats is how many ordinary seats a node must have for its share of the viewers.
func (o options) seats(p room.Profile) int {
	share := p.SeatLoad(room.Viewer).Times(o.share()).Plus(p.SeatLoad(room.Publisher).Times(o.publishers))
	usual := room.Default().SeatLoad(room.Publisher)
	return int(max((share.Kbps+usual.Kbps-1)/usual.Kbps, (share.PPS+usual.PPS-1)/usual.PPS))
}

func run(ctx context.Context, o options, out io.Writer) error {
	wish, profile, err := o.profile()
	if err != nil {
		return err
	}
	stack, err := harness.Start(ctx, o.root, os.Stderr, "IDLE_AFTER=10m", "SWEEP_EVERY=2s",
		fmt.Sprintf("NODE_SEATS=%d", o.seats(profile)), fmt.Sprintf("MAX_NODES=%d", 2*o.nodes+4))
	if err != nil {
		return err
	}
	defer stack.Stop()
	if err := declare(ctx, stack, wish); err != nil {
		return err
	}
	a := newAudience(o, stack)
	defer a.leave()
	if err := a.gather(ctx, out); err != nil {
		return err
	}
	nodes, err := survey(ctx, stack)
	if err != nil {
		return err
	}
	if err := a.measured(ctx, out, nodes); err != nil {
		return err
	}
	if o.kill {
		return a.killed(ctx, out, nodes)
	}
	return nil
}

// declare makes the room by the HTTP API.
func declare(ctx context.Context, s *harness.Stack, w room.Wish) error {
	body, err := json.Marshal(struct {
		Name string `json:"name"`
		room.Wish
	}{roomName, w})
	if err != nil {
		return err
	}
	base, err := url.Parse(s.Demo)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.Scheme+"://"+base.Host+"/v1/rooms", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.Key)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode >= 300 {
		told, _ := io.ReadAll(r.Body)
		return fmt.Errorf("the room is refused: %s: %s", r.Status, told)
	}
	return nil
}
