// Command cmd brings people without browsers into a room of a local stack and
// prints, once a second, what each of them receives, as one line of JSON.
//
//	go run ./sfu-node/lightpeer/cmd -stack http://localhost:8080 -room demo -people 5
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// options are the command line.
type options struct {
	stack, room, prefix string
	people, viewers     int
	layers              string
	within              time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.stack, "stack", "http://localhost:8080", "`address` of the local stack, which mints the tokens")
	flag.StringVar(&o.room, "room", "demo", "`name` of the room")
	flag.StringVar(&o.prefix, "prefix", "light", "what identities begin with")
	flag.IntVar(&o.people, "people", 1, "how `many` publish")
	flag.IntVar(&o.viewers, "viewers", 0, "how `many` only watch")
	flag.StringVar(&o.layers, "layers", "q,h,f", "camera `layers` to send, separated by commas")
	flag.DurationVar(&o.within, "for", 0, "how `long` to stay; 0 until interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if o.within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.within)
		defer cancel()
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "lightpeer:", err)
		os.Exit(1)
	}
}

func run(asked context.Context, o options) error {
	ctx, cancel := context.WithCancelCause(asked)
	defer cancel(nil)
	var everybody sync.WaitGroup
	for i := range o.people + o.viewers {
		p := &person{name: fmt.Sprintf("%s-%d", o.prefix, i), role: events.Publisher}
		if i >= o.people {
			p.role = events.Viewer
		}
		everybody.Go(func() {
			if err := p.persist(ctx, o); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", p.name, err))
			}
		})
	}
	everybody.Wait()
	if asked.Err() != nil {
		return nil // it was told to stop, or its time is up
	}
	return context.Cause(ctx)
}

// person is one participant and what it has received.
type person struct {
	name string
	role events.Role

	mu     sync.Mutex
	report report
}

// report is one line of output.
type report struct {
	Name    string         `json:"name"`
	Node    string         `json:"node"`
	Streams int            `json:"streams"`
	Packets map[string]int `json:"packets"` // by section
	Bytes   int            `json:"bytes"`
}

// persist attends, and tries again where that may help.
func (p *person) persist(ctx context.Context, o options) error {
	for {
		err := p.attend(ctx, o)
		var told events.Error
		if !errors.As(err, &told) || !told.Code.Retryable() {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(max(500*time.Millisecond, time.Duration(told.RetryAfterMs)*time.Millisecond)):
		}
	}
}

// attend joins, plays until ctx is done, and says goodbye.
func (p *person) attend(ctx context.Context, o options) error {
	url, token, err := mint(ctx, o.stack, o.room, p.name, p.role)
	if err != nil {
		return err
	}
	p.report = report{Name: p.name, Packets: map[string]int{}}
	client, err := lightpeer.New(lightpeer.Options{OnPacket: p.onPacket, OnMessage: p.onMessage, Loopback: strings.Contains(o.stack, "localhost") || strings.Contains(o.stack, "127.0.0.1")})
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := client.Join(ctx, lightpeer.Joining{URL: url, Token: token, Role: p.role})
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.report.Node = answer.Node
	p.mu.Unlock()
	done := make(chan struct{})
	defer close(done)
	go p.print(done)
	if p.role == events.Publisher {
		play := lightpeer.Playing{Layers: strings.Split(o.layers, ","), Sound: true}
		if err := client.Send(events.Tracks{Header: events.Head(events.ActionTracks), Revision: 1, Tracks: play.Tracks()}); err != nil {
			return err
		}
		if err := client.Play(ctx, play); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return client.Send(events.Goodbye{Header: events.Head(events.ActionGoodbye)})
	case <-client.Closed():
		return fmt.Errorf("the connection ended")
	}
}

func (p *person) onPacket(mid string, packet *rtp.Packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.Packets[mid]++
	p.report.Bytes += packet.MarshalSize()
}

func (p *person) onMessage(m events.Message) {
	if s, ok := m.(events.Streams); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.report.Streams = len(s.Streams)
	}
}

func (p *person) print(done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		line, err := json.Marshal(p.report)
		p.mu.Unlock()
		if err == nil {
			fmt.Println(string(line))
		}
	}
}

// mint asks the local stack for a token.
func mint(ctx context.Context, stack, room, name string, role events.Role) (url, token string, err error) {
	body, err := json.Marshal(map[string]string{"room": room, "name": name, "identity": name, "role": string(role)})
	if err != nil {
		return "", "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(stack, "/")+"/local/token", bytes.NewReader(body))
	if err != nil {
		return "", "", fmt.Errorf("mint a token: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", "", fmt.Errorf("mint a token: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("mint a token: status %d", response.StatusCode)
	}
	var minted struct{ Token, URL string }
	if err := json.NewDecoder(response.Body).Decode(&minted); err != nil {
		return "", "", fmt.Errorf("mint a token: %w", err)
	}
	return minted.URL, minted.Token, nil
}
