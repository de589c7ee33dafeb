package others

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/shared/token"
)

// Fields of SignalRequest and SignalResponse.
const (
	lkJoined    = 1 // of responses
	lkOffer     = 1 // of requests
	lkAnswer    = 2
	lkOffered   = 3 // of responses
	lkTrickled  = 4 // of responses
	lkAddTrack  = 4 // of requests
	lkPublished = 6
	lkSettings  = 7
	lkLeave     = 8
	lkPing      = 14
)

// liveKitPeer is one participant: LiveKit has one connection for what it sends and
// one for what it gets.
type liveKitPeer struct {
	conn   *websocket.Conn
	seat   Seat
	up     *Connection // nil for who sends nothing
	down   *Connection
	tracks chan struct{} // what was announced is taken

	// What follows is for the goroutine that hears the server.
	early  map[*Connection][]webrtc.ICECandidateInit // before there is a description
	others map[string]string                         // identities of tracks of video

	mu    sync.Mutex
	ended error

	once   sync.Once
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Join lets somebody in.
func (l *LiveKit) Join(ctx context.Context, s Seat) (*Peer, error) {
	jwt, err := token.Mint(liveKitKey, liveKitSecret, token.Claims{Identity: s.Name, Name: s.Name, Room: s.Room, Join: true,
		CanPublish: true, CanSubscribe: true, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		return nil, err
	}
	subscribe := "1"
	if s.Publishes {
		subscribe = "0"
	}
	query := url.Values{"access_token": {jwt}, "auto_subscribe": {subscribe}, "protocol": {"15"}, "sdk": {"go"}, "version": {"2.0.0"}}
	conn, _, err := websocket.Dial(ctx, fmt.Sprintf("ws://127.0.0.1:%d/rtc?%s", l.port, query.Encode()), nil)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(1 << 20)
	p := &liveKitPeer{conn: conn, seat: s, tracks: make(chan struct{}, 8),
		early: map[*Connection][]webrtc.ICECandidateInit{}, others: map[string]string{}}
	made, err := p.enter(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect %s to LiveKit: %w", s.Name, err), p.close())
	}
	return made, nil
}

// enter makes the connections of somebody.
func (p *liveKitPeer) enter(ctx context.Context) (*Peer, error) {
	media, other := p.seat.Media, p.seat.Media
	other.Socket, other.OnPacket = nil, nil
	var err error
	if p.seat.Publishes {
		if p.up, err = Connect(media); err != nil {
			return nil, err
		}
		media = other // the seat's socket is the one for media
	}
	if p.down, err = Connect(media); err != nil {
		return nil, err
	}
	made := &Peer{PC: p.down.PC, Close: p.close}
	if p.up != nil {
		if made, err = p.up.Send(p.seat); err != nil {
			return nil, err
		}
		made.Close = p.close
	}
	life, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.done.Go(func() { p.hear(life) })
	p.done.Go(func() { p.ping(life) })
	carries := p.down
	if p.up != nil {
		if err := p.publish(ctx); err != nil {
			return nil, err
		}
		carries = p.up
	}
	select {
	case <-carries.Connected:
		return made, nil
	case <-carries.Failed:
		return nil, errors.New("the connection failed")
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		return nil, errors.Join(ctx.Err(), p.ended)
	}
}

// publish announces what is to be sent, and offers it.
func (p *liveKitPeer) publish(ctx context.Context) error {
	for _, t := range p.up.PC.GetTransceivers() {
		track := t.Sender().Track()
		add := wire(nil).text(1, track.ID()).text(2, track.ID())
		if track.Kind() == webrtc.RTPCodecTypeVideo {
			add = add.number(3, 1).number(4, 1280).number(5, 720).number(8, 1)
			if len(p.seat.Camera) > 1 {
				for quality, height := range []uint64{180, 360, 720} {
					add = add.text(9, string(wire(nil).number(1, uint64(quality)).number(2, height*16/9).number(3, height).number(4, 100_000<<(2*quality))))
				}
			} else {
				add = add.text(9, string(wire(nil).number(1, 2).number(2, 1280).number(3, 720).number(4, 1_500_000)))
			}
		} else {
			add = add.number(3, 0).number(8, 2)
		}
		if err := p.say(ctx, wire(nil).text(lkAddTrack, string(add))); err != nil {
			return err
		}
		select {
		case <-p.tracks:
		case <-ctx.Done():
			return fmt.Errorf("a track is not taken: %w", ctx.Err())
		}
	}
	sdp, err := p.up.Offer()
	if err != nil {
		return err
	}
	return p.say(ctx, wire(nil).text(lkOffer, string(description("offer", sdp))))
}

func description(kind, sdp string) wire { return wire(nil).text(1, kind).text(2, sdp) }

func (p *liveKitPeer) say(ctx context.Context, w wire) error {
	return p.conn.Write(ctx, websocket.MessageBinary, w)
}

// ping says now and then that the participant is there.
func (p *liveKitPeer) ping(ctx context.Context) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			_ = p.say(ctx, wire(nil).number(lkPing, uint64(now.UnixMilli())))
		}
	}
}

// hear handles what the server says until the end.
func (p *liveKitPeer) hear(ctx context.Context) {
	for {
		_, raw, err := p.conn.Read(ctx)
		if err == nil {
			err = wire(raw).each(func(field uint64, value wire, _ uint64) error { return p.handle(ctx, field, value) })
		}
		if err != nil {
			p.mu.Lock()
			p.ended = err
			p.mu.Unlock()
			return
		}
	}
}

func (p *liveKitPeer) handle(ctx context.Context, field uint64, value wire) error {
	switch field {
	case lkJoined:
		return value.each(p.meet)
	case lkAnswer:
		sdp, _, err := value.field(2)
		if err != nil || p.up == nil {
			return err
		}
		if err := p.up.Accept(string(sdp)); err != nil {
			return err
		}
		return p.catchUp(p.up)
	case lkOffered:
		return p.answer(ctx, value)
	case lkTrickled:
		return p.trickled(value)
	case lkPublished:
		p.tracks <- struct{}{}
	case lkLeave:
		return errors.New("LiveKit ended it")
	}
	return nil
}

// answer answers the server's offer, and says which layers are wanted.
func (p *liveKitPeer) answer(ctx context.Context, value wire) error {
	sdp, _, err := value.field(2)
	if err != nil {
		return err
	}
	answer, err := p.down.Answer(string(sdp))
	if err != nil {
		return err
	}
	if err := p.catchUp(p.down); err != nil {
		return err
	}
	reply := description("answer", answer)
	// Newer servers number their offers.
	if _, number, _ := value.field(3); number != 0 {
		reply = reply.number(3, number)
	}
	if err := p.say(ctx, wire(nil).text(lkAnswer, string(reply))); err != nil || p.seat.Height == nil {
		return err
	}
	return p.choose(ctx)
}

// meet notes, of what the server says when it lets somebody in, who sends which
// video.
func (p *liveKitPeer) meet(field uint64, participant wire, _ uint64) error {
	if field != 3 {
		return nil
	}
	identity, _, err := participant.field(2)
	if err != nil {
		return err
	}
	return participant.each(func(field uint64, track wire, _ uint64) error {
		if field != 4 {
			return nil
		}
		sid, _, err := track.field(1)
		if _, kind, _ := track.field(2); kind == 1 {
			p.others[string(sid)] = string(identity)
		}
		return err
	})
}

// choose says in which size each camera is watched.
func (p *liveKitPeer) choose(ctx context.Context) error {
	for sid, identity := range p.others {
		height := p.seat.Height(identity)
		settings := wire(nil).text(1, sid).number(5, uint64(height*16/9)).number(6, uint64(height))
		if err := p.say(ctx, wire(nil).text(lkSettings, string(settings))); err != nil {
			return err
		}
	}
	return nil
}

// trickled takes a candidate of the server.
func (p *liveKitPeer) trickled(value wire) error {
	text, _, err := value.field(1)
	if err != nil {
		return err
	}
	var candidate webrtc.ICECandidateInit
	if err := json.Unmarshal(text, &candidate); err != nil {
		return err
	}
	to := p.up // target 0, which is left out
	if _, target, _ := value.field(2); target == 1 {
		to = p.down
	}
	if to == nil || candidate.Candidate == "" {
		return nil
	}
	p.early[to] = append(p.early[to], candidate)
	return p.catchUp(to)
}

// catchUp adds the candidates that came before there was a description.
func (p *liveKitPeer) catchUp(t *Connection) error {
	if t.PC.RemoteDescription() == nil {
		return nil
	}
	for _, c := range p.early[t] {
		if err := t.PC.AddICECandidate(c); err != nil {
			return err
		}
	}
	delete(p.early, t)
	return nil
}

func (p *liveKitPeer) close() (err error) {
	p.once.Do(func() {
		if p.cancel != nil {
			p.cancel()
		}
		err = p.conn.CloseNow()
		p.done.Wait()
		if p.up != nil {
			err = errors.Join(err, p.up.Close())
		}
		if p.down != nil {
			err = errors.Join(err, p.down.Close())
		}
	})
	return err
}
