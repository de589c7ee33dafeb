package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

const (
	frameQuota   = 32 << 10
	messageQuota = 128 << 10
)

func TestMessagesUpToTheQuotas(t *testing.T) {
	for _, m := range []struct {
		name        string
		frame, size int
	}{
		{"one byte in one frame", frameQuota, 1},
		{"a full frame", frameQuota, frameQuota},
		{"a full message in four full frames", frameQuota, messageQuota},
		{"a full message in frames of 1000", 1000, messageQuota},
		{"a frame for each byte", 1, 100},
	} {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.connect("ann")
			message := strings.Repeat("0123456789abcdef", m.size/16+1)[:m.size]
			c.sendIn(m.frame, message)
			if got := w.next("rest")["body"]; got != message {
				t.Errorf("%d bytes arrived", len(got.(string)))
			}
			units := int64(1)
			if m.size > frameQuota {
				units = 4
			}
			if s := w.api.Stats(); s.BilledUnits != units || s.In["$default"] != 1 {
				t.Errorf("%+v, want %d billed units", s, units)
			}
			c.alive()
		})
	}
}

func TestWhatTheGatewayClosesFor(t *testing.T) {
	big := strings.Repeat("x", frameQuota)
	unmasked := ws.NewTextFrame([]byte("x"))
	for _, v := range []struct {
		name string
		do   func(c *client)
		code ws.StatusCode
	}{
		{"a frame too long", func(c *client) { c.send(big + "x") }, ws.StatusMessageTooBig},
		{"a continuation too long", func(c *client) {
			c.write(ws.NewFrame(ws.OpText, false, []byte("x")), ws.NewFrame(ws.OpContinuation, true, []byte(big+"x")))
		}, ws.StatusMessageTooBig},
		{"a message too long by a byte", func(c *client) { c.sendIn(frameQuota, strings.Repeat(big, 4)+"x") }, ws.StatusMessageTooBig},
		{"a message without end", func(c *client) {
			c.write(ws.NewFrame(ws.OpText, false, []byte(big)))
			for range 4 {
				c.write(ws.NewFrame(ws.OpContinuation, false, []byte(big)))
			}
		}, ws.StatusMessageTooBig},
		{"binary", func(c *client) { c.write(ws.NewBinaryFrame([]byte("{}"))) }, ws.StatusUnsupportedData},
		{"binary in parts", func(c *client) { c.write(ws.NewFrame(ws.OpBinary, false, []byte("{}"))) }, ws.StatusUnsupportedData},
		{"text that is no UTF-8", func(c *client) { c.send("\xff\xfe") }, ws.StatusInvalidFramePayloadData},
		{"a frame without mask", func(c *client) { ws.MustWriteFrame(c.conn, unmasked) }, ws.StatusProtocolError},
		{"a continuation of nothing", func(c *client) { c.write(ws.NewFrame(ws.OpContinuation, true, []byte("x"))) }, ws.StatusProtocolError},
		{"a message within another", func(c *client) {
			c.write(ws.NewFrame(ws.OpText, false, []byte("x")), ws.NewTextFrame([]byte("y")))
		}, ws.StatusProtocolError},
		{"an unknown opcode", func(c *client) { c.write(ws.NewFrame(3, true, []byte("x"))) }, ws.StatusProtocolError},
		{"reserved bits", func(c *client) {
			f := ws.NewTextFrame([]byte("x"))
			f.Header.Rsv = ws.Rsv(true, false, false)
			c.write(f)
		}, ws.StatusProtocolError},
		{"a ping in parts", func(c *client) { c.write(ws.NewFrame(ws.OpPing, false, nil)) }, ws.StatusProtocolError},
		{"a long ping", func(c *client) { c.write(ws.NewPingFrame([]byte(big[:126]))) }, ws.StatusProtocolError},
	} {
		t.Run(v.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.connect("ann")
			v.do(c)
			if reason := c.wantClose(v.code); reason == "" {
				t.Error("closed without a reason")
			}
			rc := w.next("people")["requestContext"].(map[string]any)
			if rc["eventType"] != "DISCONNECT" || rc["disconnectStatusCode"] != float64(v.code) {
				t.Errorf("%v with %v", rc["eventType"], rc["disconnectStatusCode"])
			}
			w.uncalled("rest", "people")
		})
	}
}

// A frame announces its length before it comes: nobody may make the gateway
// wait for it, or keep memory ready.
func TestALengthThatIsNeverSent(t *testing.T) {
	w := newWorld(t)
	c := w.connect("ann")
	ws.MustWriteFrame(c.conn, ws.Frame{Header: ws.Header{Fin: true, OpCode: ws.OpText, Masked: true, Length: 1 << 40}})
	_, _, f := c.read()
	if f == nil || f.Header.OpCode != ws.OpClose {
		t.Fatalf("got %+v", f)
	}
	if code, _ := ws.ParseCloseFrameData(f.Payload); code != ws.StatusMessageTooBig {
		t.Errorf("closed with %d", code)
	}
	_ = c.conn.Close()
	w.next("people")
}

func TestPingsBetweenTheFramesOfAMessage(t *testing.T) {
	w := newWorld(t)
	c := w.connect("ann")
	c.write(ws.NewFrame(ws.OpText, false, []byte("hel")))
	c.alive()
	c.write(ws.NewPongFrame([]byte("unasked")), ws.NewFrame(ws.OpContinuation, false, nil), ws.NewFrame(ws.OpContinuation, true, []byte("lo")))
	if body := w.next("rest")["body"]; body != "hello" {
		t.Errorf("got %q", body)
	}
	c.alive()
}

func TestIdle(t *testing.T) {
	w := newWorld(t)
	c := w.connect("ann")
	almost := 10*time.Minute - time.Second

	w.clock.advance(almost)
	c.alive() // control frames do not count
	c.send("still here")
	w.next("rest")
	w.clock.advance(almost)
	w.mustPost(c.id, "you too") // what comes from the other side does
	c.want("you too")
	w.clock.advance(almost)
	c.alive()

	w.clock.advance(time.Second)
	if reason := c.wantClose(ws.StatusGoingAway); reason == "" {
		t.Error("closed without a reason")
	}
	if rc := w.next("people")["requestContext"].(map[string]any); rc["disconnectStatusCode"] != 1001.0 {
		t.Errorf("$disconnect with %v", rc["disconnectStatusCode"])
	}
}

func TestLifetime(t *testing.T) {
	w := newWorld(t)
	c := w.connect("ann")
	for range 14 { // 119 minutes, never idle
		w.clock.advance(8*time.Minute + 30*time.Second)
		w.mustPost(c.id, "tick")
		c.want("tick")
	}
	w.clock.advance(time.Minute - time.Millisecond)
	c.alive()
	w.clock.advance(time.Millisecond)
	c.wantClose(ws.StatusGoingAway)
	if rc := w.next("people")["requestContext"].(map[string]any); rc["disconnectStatusCode"] != 1001.0 {
		t.Errorf("$disconnect with %v", rc["disconnectStatusCode"])
	}
}

// A client that never answers the close frame is gone all the same.
func TestHangingUpOnWhoDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.connect("ann")
	w.clock.advance(10 * time.Minute)
	began := time.Now()
	w.next("people")
	if took := time.Since(began); took > 2*closeGrace {
		t.Errorf("after %v", took)
	}
	if _, _, f := c.read(); f == nil || f.Header.OpCode != ws.OpClose {
		t.Errorf("got %+v", f)
	}
}
