package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/spillway-sfu/spillway/events"
)

// spillway is the real node, to which this program is the control plane.
type spillway struct {
	process
	http *httptest.Server

	mu      sync.Mutex
	conn    *websocket.Conn
	ready   chan struct{}
	waiting map[string]chan events.Answered
	next    int
}

func startSpillway(profile, profiles string) (server, error) {
	const binary = "build/local/sfu-node"
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("%s is not built: make build", binary)
	}
	s := &spillway{ready: make(chan struct{}), waiting: map[string]chan events.Answered{}}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	var args []string
	if profile != "" {
		args = append(args, "-cpuprofile", profile)
	}
	if profiles != "" {
		args = append(args, "-pprof", profiles)
	}
	s.cmd = onItsCores(binary, args...)
	s.cmd.Env = append(os.Environ(), "SPILLWAY_URL=ws"+strings.TrimPrefix(s.http.URL, "http"), "SPILLWAY_NODE=node-1", "SPILLWAY_TOKEN=token",
		"SPILLWAY_MEDIA_IP=127.0.0.1", "SPILLWAY_MEDIA_PORT=0", "SPILLWAY_LOG=warn")
	if err := s.cmd.Start(); err != nil {
		s.http.Close()
		return nil, err
	}
	select {
	case <-s.ready:
		return s, nil
	case <-time.After(10 * time.Second):
		s.stop()
		return nil, fmt.Errorf("%s did not dial", binary)
	}
}

func (s *spillway) stop() {
	s.process.stop()
	s.http.CloseClientConnections()
	s.http.Close()
}

// serve is one socket of the node.
func (s *spillway) serve(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(events.MaxFrame)
	for {
		_, raw, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		m, err := events.Decode(events.FromNode, raw)
		if err != nil {
			continue
		}
		switch m := m.(type) {
		case events.Hello:
			s.say(conn, events.Welcome{Header: events.Head(events.ActionWelcome), Node: m.Node, Boot: m.Boot, Slot: m.Slot, Generation: 1, HeartbeatMs: 1000, LeaseMs: 60_000})
			if m.Slot == 0 {
				s.mu.Lock()
				if s.conn == nil {
					close(s.ready)
				}
				s.conn = conn
				s.mu.Unlock()
			}
		case events.Heartbeat:
			s.say(conn, events.Renewed{Header: events.Head(events.ActionRenewed), Node: m.Node, Generation: 1, Seq: m.Seq, LeaseMs: 60_000})
		case events.Answered:
			s.mu.Lock()
			if c := s.waiting[m.ID]; c != nil {
				c <- m
			}
			delete(s.waiting, m.ID)
			s.mu.Unlock()
		}
	}
}

func (s *spillway) say(conn *websocket.Conn, m events.Message) {
	raw, err := json.Marshal(m)
	if err == nil {
		err = conn.Write(context.Background(), websocket.MessageText, raw)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/forward: tell the node:", err)
	}
}

func (s *spillway) join(ctx context.Context, who seat) (*peer, error) {
	return answers(s.answer).join(ctx, who)
}

func (s *spillway) answer(ctx context.Context, o events.Offer) (string, error) {
	answered := make(chan events.Answered, 1)
	s.mu.Lock()
	s.next++
	o.ID = strconv.Itoa(s.next)
	s.waiting[o.ID] = answered
	conn := s.conn
	s.mu.Unlock()
	if err := o.Validate(); err != nil {
		return "", err
	}
	s.say(conn, o)
	select {
	case m := <-answered:
		if m.Fault != nil {
			return "", fmt.Errorf("the node refused: %v", m.Fault)
		}
		return m.Answer, nil
	case <-ctx.Done():
		return "", fmt.Errorf("no answer to an offer: %w", ctx.Err())
	}
}
