package lightpeer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/rtp"
	"go.uber.org/goleak"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// newGateway answers joins from an SFU: the token is the identity. say may
// answer instead; it returns false to leave it to the SFU.
func newGateway(t *testing.T, say func(n int, j events.Join, reply func(events.Message)) bool) string {
	t.Helper()
	media, err := sfu.New(sfu.Config{Node: "node-1", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(events.MaxFrame)
		reply := func(m events.Message) {
			raw, err := json.Marshal(m)
			if err != nil {
				t.Error(err)
			}
			_ = conn.Write(r.Context(), websocket.MessageText, raw)
		}
		who := r.URL.Query().Get("access_token")
		for n := 1; ; n++ {
			_, raw, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			m, err := events.Decode(events.FromClient, raw)
			if err != nil {
				t.Errorf("the client sent %.80s: %v", raw, err)
				return
			}
			j := m.(events.Join)
			if say != nil && say(n, j, reply) {
				continue
			}
			answer, err := media.Join(r.Context(), events.Offer{
				Room: "room", Profile: events.Profile{AudioStreams: 3, VideoStreams: 9, ReceiveKbps: 5000},
				Person:  events.Person{Key: who, Identity: who, Role: events.Publisher},
				Session: j.Session, Revision: 1, Offer: j.Offer, Media: j.Media,
			}, nil)
			if err != nil {
				t.Error(err)
				return
			}
			reply(events.Answer{Header: events.Head(events.ActionAnswer), ID: j.ID, Session: j.Session, Revision: 1, Room: "room",
				Identity: who, Role: events.Publisher, Node: "node-1", Answer: answer})
		}
	}))
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := media.Close(ctx, events.CodeNodeGone); err != nil {
			t.Error(err)
		}
	})
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

func newClient(t *testing.T, opt Options) *Client {
	t.Helper()
	opt.Loopback = true
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// What one plays arrives at the other, frame by frame.
func TestPlay(t *testing.T) {
	url := newGateway(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var mu sync.Mutex
	packets := map[string][]*rtp.Packet{}
	carried := map[string]events.Source{}
	enough := make(chan struct{})
	var once sync.Once
	watcher := newClient(t, Options{
		OnPacket: func(mid string, p *rtp.Packet) {
			mu.Lock()
			defer mu.Unlock()
			packets[mid] = append(packets[mid], p)
			have := map[events.Source]int{}
			for mid, source := range carried {
				have[source] += len(packets[mid])
			}
			if have[events.Camera] > 60 && have[events.Microphone] > 20 {
				once.Do(func() { close(enough) })
			}
		},
		OnMessage: func(m events.Message) {
			if s, ok := m.(events.Streams); ok {
				mu.Lock()
				defer mu.Unlock()
				for _, x := range s.Streams {
					carried[x.Mid] = x.Source
				}
			}
		},
	})
	player := newClient(t, Options{})
	for who, c := range map[string]*Client{"watcher": watcher, "player": player} {
		if _, err := c.Join(ctx, Joining{URL: url, Token: who}); err != nil {
			t.Fatal(err)
		}
	}
	play := Playing{Layers: []string{"q", "h", "f"}, Sound: true}
	if err := player.Send(events.Tracks{Header: events.Head(events.ActionTracks), Revision: 1, Tracks: play.Tracks()}); err != nil {
		t.Fatal(err)
	}
	playing, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- player.Play(playing, play) }()
	select {
	case <-enough:
	case <-ctx.Done():
		t.Fatalf("only %d streams arrived", len(packets))
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for mid, source := range carried {
		if source == events.Camera {
			checkFrames(t, packets[mid])
		}
	}
}

// checkFrames checks that what was received is made of frames of the files, the
// first one a key frame.
func checkFrames(t *testing.T, packets []*rtp.Packet) {
	t.Helper()
	known := map[string]bool{}
	for _, rid := range cameraRIDs {
		frames, err := readFrames("media/" + rid + ".ivf")
		if err != nil || len(frames) < 2*FrameRate-1 {
			t.Fatalf("%d frames of %s, %v", len(frames), rid, err)
		}
		for _, f := range frames {
			known[string(f)] = true
		}
	}
	var frame bytes.Buffer
	complete := 0
	for i, p := range packets {
		if i > 0 && p.SequenceNumber != packets[i-1].SequenceNumber+1 {
			return // reordered or lost: what follows is not a row of frames
		}
		frame.Write(p.Payload[5:])
		if !p.Marker {
			continue
		}
		if !known[frame.String()] {
			t.Fatalf("frame %d of %d bytes is none that was sent", complete, frame.Len())
		}
		if complete == 0 && frame.Bytes()[0]&1 != 0 {
			t.Error("the first frame is no key frame")
		}
		complete++
		frame.Reset()
	}
	if complete < 5 {
		t.Errorf("%d frames are complete", complete)
	}
}

func TestJoinWaits(t *testing.T) {
	var sessions []string
	url := newGateway(t, func(n int, j events.Join, reply func(events.Message)) bool {
		sessions = append(sessions, j.Session)
		switch n {
		case 1:
			reply(events.Waiting{Header: events.Head(events.ActionWaiting), ID: j.ID, SinceMs: 1, EstimateMs: 5, Stage: events.StageStarting})
			reply(events.Ready{Header: events.Head(events.ActionReady), ID: j.ID})
			return true
		default:
			return false
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	waited := 0
	answer, err := newClient(t, Options{}).Join(ctx, Joining{URL: url, Token: "anna", OnWaiting: func(events.Waiting) { waited++ }})
	if err != nil {
		t.Fatal(err)
	}
	if answer.Identity != "anna" || waited != 1 || len(sessions) != 2 || sessions[0] != sessions[1] {
		t.Errorf("answer for %s, waited %d times, sessions %v", answer.Identity, waited, sessions)
	}
}

func TestJoinIsRefused(t *testing.T) {
	url := newGateway(t, func(_ int, j events.Join, reply func(events.Message)) bool {
		reply(events.Errorf(events.CodeRoomFull, "full").For(j.ID))
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := newClient(t, Options{}).Join(ctx, Joining{URL: url, Token: "anna"})
	var coded events.Error
	if !errors.As(err, &coded) || coded.Code != events.CodeRoomFull {
		t.Errorf("join: %v", err)
	}
}

func TestSound(t *testing.T) {
	sound, err := readSound("media/tone.ogg")
	if err != nil || len(sound) < 90 {
		t.Errorf("%d packets, %v", len(sound), err)
	}
}
