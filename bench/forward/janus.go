package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/spillway-sfu/spillway/bench/others"
)

// janus is Janus with its plugin for rooms, as it comes, except that sessions do
// not expire. It takes no loopback addresses, so its peers use another one of this
// machine; the kernel takes the same way.
type janus struct {
	process
	dir  string
	port int
	at   net.IP
	room *janusHandle // keeps the room's session
}

func startJanus(binary string) (server, error) {
	at, err := ownAddress()
	if err != nil {
		return nil, fmt.Errorf("janus: %w", err)
	}
	port, err := others.FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-janus-")
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"janus.jcfg": fmt.Sprintf(`general: { debug_level = 2, session_timeout = 0 }
nat: { ice_enforce_list = %q }
plugins: { disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so" }
transports: { disable = "libjanus_http.so,libjanus_rabbitmq.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so" }
`, at),
		"janus.transport.websockets.jcfg": fmt.Sprintf("general: { json = \"compact\", ws = true, ws_port = %d, ws_ip = \"127.0.0.1\" }\n", port),
		"janus.plugin.videoroom.jcfg":     "general: {}\n",
	}
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	j := &janus{process: process{onItsCores(binary, "--configs-folder="+dir, "--config="+filepath.Join(dir, "janus.jcfg"))}, dir: dir, port: port, at: at}
	if err == nil {
		err = j.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err = others.Listening(port, 20*time.Second); err == nil {
		err = j.open()
	}
	if err != nil {
		j.stop()
		return nil, fmt.Errorf("janus: %w", err)
	}
	return j, nil
}

// open makes the room.
func (j *janus) open() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if j.room, err = j.attach(ctx); err != nil {
		return err
	}
	_, err = j.room.ask(ctx, map[string]any{"request": "create", "room": 1, "publishers": 100, "videocodec": "vp8", "audiocodec": "opus", "bitrate": 0}, nil)
	return err
}

func (j *janus) host() net.IP { return j.at }

func (j *janus) stop() {
	if j.room != nil {
		j.room.close()
	}
	j.process.stop()
	_ = os.RemoveAll(j.dir)
}

// ownAddress is an address of this machine that is not loopback's.
func ownAddress() (net.IP, error) {
	all, err := net.InterfaceAddrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.To4(), nil
		}
	}
	return nil, errors.Join(err, errors.New("this machine has no IPv4 address but loopback's"))
}

// janusHandle is one session with one handle of the room's plugin.
type janusHandle struct {
	conn            *websocket.Conn
	session, handle int64
	asked           int
	cancel          context.CancelFunc
	reading         sync.WaitGroup
}

type janusDescription struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

// janusReply is of what Janus says what is looked at.
type janusReply struct {
	Janus       string `json:"janus"`
	Transaction string `json:"transaction"`
	Data        struct {
		ID int64 `json:"id"`
	} `json:"data"`
	Plugin struct {
		Data struct {
			Error string `json:"error"`
		} `json:"data"`
	} `json:"plugindata"`
	Error struct {
		Reason string `json:"reason"`
	} `json:"error"`
	Description janusDescription `json:"jsep"`
}

// attach begins a session.
func (j *janus) attach(ctx context.Context) (*janusHandle, error) {
	conn, _, err := websocket.Dial(ctx, fmt.Sprintf("ws://127.0.0.1:%d/", j.port), &websocket.DialOptions{Subprotocols: []string{"janus-protocol"}})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(1 << 20)
	h := &janusHandle{conn: conn}
	made, err := h.call(ctx, map[string]any{"janus": "create"})
	if err == nil {
		h.session = made.Data.ID
		made, err = h.call(ctx, map[string]any{"janus": "attach", "plugin": "janus.plugin.videoroom"})
	}
	if err != nil {
		return nil, errors.Join(err, conn.CloseNow())
	}
	h.handle = made.Data.ID
	return h, nil
}

// ask sends a request to the plugin, with a description if there is one.
func (h *janusHandle) ask(ctx context.Context, body map[string]any, d *janusDescription) (janusReply, error) {
	m := map[string]any{"janus": "message", "body": body}
	if d != nil {
		m["jsep"] = d
	}
	return h.call(ctx, m)
}

// call waits for the answer to what it sends.
func (h *janusHandle) call(ctx context.Context, m map[string]any) (reply janusReply, err error) {
	h.asked++
	m["transaction"] = fmt.Sprint(h.asked)
	if h.session != 0 {
		m["session_id"] = h.session
	}
	if h.handle != 0 {
		m["handle_id"] = h.handle
	}
	raw, err := json.Marshal(m)
	if err == nil {
		err = h.conn.Write(ctx, websocket.MessageText, raw)
	}
	for err == nil {
		if _, raw, err = h.conn.Read(ctx); err != nil {
			break
		}
		reply = janusReply{}
		if err = json.Unmarshal(raw, &reply); err != nil || reply.Transaction != m["transaction"] || reply.Janus == "ack" {
			continue
		}
		if reason := reply.Error.Reason + reply.Plugin.Data.Error; reason != "" {
			return reply, errors.New(reason)
		}
		return reply, nil
	}
	return reply, err
}

// drain reads what nobody asked for, from now on.
func (h *janusHandle) drain() {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	h.reading.Go(func() {
		for {
			if _, _, err := h.conn.Read(ctx); err != nil {
				return
			}
		}
	})
}

func (h *janusHandle) close() {
	if h.cancel != nil {
		h.cancel()
	}
	_ = h.conn.CloseNow()
	h.reading.Wait()
}

// join lets somebody in.
func (j *janus) join(ctx context.Context, s seat) (*peer, error) {
	if s.load.kind == meeting {
		return nil, errors.New("janus: how to choose layers is not known here")
	}
	h, err := j.attach(ctx)
	if err != nil {
		return nil, err
	}
	t, err := others.Connect(s.options())
	if err != nil {
		h.close()
		return nil, err
	}
	p := &others.Peer{PC: t.PC}
	if s.publishes {
		p, err = h.publish(ctx, t, s)
	} else {
		err = h.subscribe(ctx, t, s.load.publishers)
	}
	if err == nil {
		select {
		case <-t.Connected:
		case <-t.Failed:
			err = errors.New("the connection failed")
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		h.close()
		return nil, errors.Join(fmt.Errorf("connect %s to Janus: %w", s.name, err), t.Close())
	}
	h.drain()
	p.Close = func() error {
		h.close()
		return t.Close()
	}
	return seated(p), nil
}

func (h *janusHandle) publish(ctx context.Context, t *others.Connection, s seat) (*others.Peer, error) {
	p, err := t.Send(s.elsewhere())
	if err != nil {
		return nil, err
	}
	sdp, err := t.Offer()
	if err != nil {
		return nil, err
	}
	reply, err := h.ask(ctx, map[string]any{"request": "joinandconfigure", "ptype": "publisher", "room": 1, "id": s.number + 1}, &janusDescription{"offer", sdp})
	if err != nil {
		return nil, err
	}
	return p, t.Accept(reply.Description.SDP)
}

func (h *janusHandle) subscribe(ctx context.Context, t *others.Connection, publishers int) error {
	var streams []map[string]any
	for i := range publishers {
		streams = append(streams, map[string]any{"feed": i + 1})
	}
	reply, err := h.ask(ctx, map[string]any{"request": "join", "ptype": "subscriber", "room": 1, "streams": streams}, nil)
	if err != nil {
		return err
	}
	answer, err := t.Answer(reply.Description.SDP)
	if err != nil {
		return err
	}
	_, err = h.ask(ctx, map[string]any{"request": "start"}, &janusDescription{"answer", answer})
	return err
}
