package lightpeer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
)

const (
	repeatAfter = 3 * time.Second  // a join that is not answered
	askAgain    = 10 * time.Second // a join while waiting
)

// Joining says how to join through the gateway.
type Joining struct {
	// URL is the gateway's WebSocket address, Token a join token.
	URL, Token string
	// Role is asked for; empty leaves it to the token.
	Role events.Role
	// Session names the session; a random name when empty. From is the one that it
	// continues, if any.
	Session, From string
	// Avoid are nodes not to be seated on.
	Avoid []string
	// ConnectWithin is how long the connection may take once the join is answered;
	// as long as the context lasts when 0.
	ConnectWithin time.Duration
	// OnWaiting is told how a launch goes; may be nil.
	OnWaiting func(events.Waiting)
	// OnStep is told of each step of the way that is done; may be nil.
	OnStep func(Step)
}

// Step is a step of the way to a node.
type Step string

// The steps of a join, in order.
const (
	Dialled   Step = "dialled"   // the gateway is reached
	Offered   Step = "offered"   // the connection is prepared
	Answered  Step = "answered"  // a node has answered
	Connected Step = "connected" // its data channel is open
)

func (j Joining) done(s Step) {
	if j.OnStep != nil {
		j.OnStep(s)
	}
}

// Join goes through the gateway until the data channel is open: it waits while a
// node is launched, and repeats what is not answered. A refusal is an
// [events.Error].
func (c *Client) Join(ctx context.Context, j Joining) (events.Answer, error) {
	var none events.Answer
	u, err := url.Parse(j.URL)
	if err != nil {
		return none, fmt.Errorf("lightpeer: gateway address: %w", err)
	}
	q := u.Query()
	q.Set("access_token", j.Token)
	u.RawQuery = q.Encode()
	conn, response, err := websocket.Dial(ctx, u.String(), nil)
	if err != nil {
		if response != nil {
			return none, fmt.Errorf("lightpeer: the gateway refuses with status %d", response.StatusCode)
		}
		return none, errors.New("lightpeer: the gateway cannot be reached")
	}
	defer conn.CloseNow()
	conn.SetReadLimit(events.MaxMessage)
	j.done(Dialled)
	offer, sections, err := c.Offer()
	if err != nil {
		return none, err
	}
	j.done(Offered)
	if j.Session == "" {
		j.Session = rand.Text()
	}
	join := events.Join{Header: events.Head(events.ActionJoin), Session: j.Session, From: j.From, Avoid: j.Avoid, Role: j.Role, Offer: offer, Media: sections}
	answer, err := await(ctx, conn, join, j.OnWaiting)
	if err != nil {
		return none, err
	}
	j.done(Answered)
	if j.ConnectWithin > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, j.ConnectWithin)
		defer cancel()
	}
	if err := c.Accept(ctx, answer.Answer); err != nil {
		return none, err
	}
	j.done(Connected)
	_ = conn.Close(websocket.StatusNormalClosure, "connected")
	return answer, nil
}

// Accept takes the packed answer and waits until the data channel is open.
func (c *Client) Accept(ctx context.Context, answer string) error {
	sdp, err := events.Unpack(answer)
	if err != nil {
		return fmt.Errorf("lightpeer: unpack answer: %w", err)
	}
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		return fmt.Errorf("lightpeer: take answer: %w", err)
	}
	nudge := time.NewTicker(nudgeEvery)
	defer nudge.Stop()
	for n := 1; ; n++ {
		select {
		case <-c.opened:
			return nil
		case <-c.closed:
			return errors.New("lightpeer: the connection failed")
		case <-ctx.Done():
			return fmt.Errorf("lightpeer: connect: %w", ctx.Err())
		case <-nudge.C:
			c.nudge(n)
			if n == nudges {
				nudge.Stop()
			}
		}
	}
}

// How often, and how many times, a connection that comes up is nudged.
const (
	nudgeEvery = 20 * time.Millisecond
	nudges     = 10
)

// nudge makes pion look which of its checks were answered, as browsers do at once:
// by itself it looks each 200 ms. Another candidate has it look, and one of a kind
// that is never dialled does nothing else.
func (c *Client) nudge(n int) {
	if c.pc.ICEConnectionState() != webrtc.ICEConnectionStateChecking {
		return
	}
	mid, candidate := c.media.Microphone, fmt.Sprintf("candidate:nudge 1 tcp 1 127.0.0.1 %d typ host tcptype passive", n)
	_ = c.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: candidate, SDPMid: &mid}) // it comes up without
}

// giveBack frees the seat that a session may have got.
func giveBack(conn *websocket.Conn, session string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if raw, err := encode(events.Leave{Header: events.Head(events.ActionLeave), ID: rand.Text(), Session: session}); err == nil {
		_ = conn.Write(ctx, websocket.MessageText, raw) // the sweep frees it otherwise
	}
}

// await sends join until it is answered, and gives the seat back if ctx ends first.
func await(ctx context.Context, conn *websocket.Conn, join events.Join, onWaiting func(events.Waiting)) (events.Answer, error) {
	var none events.Answer
	arrived := make(chan []byte)
	ended := make(chan error, 1)
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx)) // its end closes the socket
	defer cancel()
	go func() {
		for {
			_, raw, err := conn.Read(reading)
			if err != nil {
				ended <- fmt.Errorf("lightpeer: the gateway ended the connection: %w", err)
				return
			}
			select {
			case arrived <- raw:
			case <-reading.Done():
				return
			}
		}
	}()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			giveBack(conn, join.Session)
			return none, fmt.Errorf("lightpeer: join: %w", ctx.Err())
		case <-again.C:
			join.ID = rand.Text()
			raw, err := encode(join)
			if err != nil {
				return none, err
			}
			if err := conn.Write(ctx, websocket.MessageText, raw); err != nil {
				return none, fmt.Errorf("lightpeer: join: %w", err)
			}
			again.Reset(repeatAfter)
		case err := <-ended:
			return none, err
		case raw := <-arrived:
			message, err := events.Decode(events.ToClient, raw)
			if err != nil {
				continue // the gateway's own error frame: the join is repeated
			}
			switch m := message.(type) {
			case events.Answer:
				return m, nil
			case events.Error:
				return none, m
			case events.Ready:
				again.Reset(0)
			case events.Waiting:
				again.Reset(askAgain)
				if onWaiting != nil {
					onWaiting(m)
				}
			}
		}
	}
}
