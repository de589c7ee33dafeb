// Package lightpeer is a participant without a browser: it speaks the same
// contract as the SDK, publishes prepared pictures and a tone, and counts what it
// receives. Tests and load generators use it; it decodes nothing.
package lightpeer

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
)

// Options say how a client offers and what it does with what it gets. Callbacks may overlap.
type Options struct {
	// Audio and Video are the numbers of receive streams; 3 and 9 when both are 0.
	Audio, Video int
	// Loopback lets the client use 127.0.0.1, and nothing else.
	Loopback bool
	// Socket carries everything the client sends and gets, if set; it says by its
	// LocalAddr where it is bound. It is closed with the client.
	Socket net.PacketConn
	// Networks are those that may be used; UDP over IPv4 when there are none.
	Networks []webrtc.NetworkType
	// VP8 and Opus are the payload types offered; 96 and 111 when 0. The type after
	// VP8's is its retransmission's.
	VP8, Opus uint8
	// Content makes the client never ask for lost packets again.
	Content bool
	// Mute makes the client not say when each packet came: it sends no
	// transport-wide feedback.
	Mute bool
	// Reports makes the client say by sender reports, as browsers do, when what it
	// sends was captured.
	Reports bool
	// Profile is the only SRTP profile offered, if set.
	Profile dtls.SRTPProtectionProfile
	// OnMessage gets each message on the data channels; may be nil.
	OnMessage func(events.Message)
	// OnPacket gets each RTP packet of a receive stream, which is its own to keep;
	// may be nil.
	OnPacket func(mid string, p *rtp.Packet)
	// OnReport gets each sender report of a receive stream; may be nil.
	OnReport func(mid string, r *rtcp.SenderReport)
	// OnKeyRequest is told that a key frame of a layer is wanted; may be nil.
	OnKeyRequest func(source events.Source, rid string)
}

// Client is one participant's connection.
type Client struct {
	opt   Options
	pc    *webrtc.PeerConnection
	dc    *webrtc.DataChannel
	pulse *webrtc.DataChannel
	data  [2]*webrtc.DataChannel // reliable, lossy
	mux   ice.UDPMux             // nil without a socket of its own
	media events.Media

	mic         *Sender
	camera      []*Sender // q, h, f
	screen      []*Sender // q, f
	screenAudio *Sender

	opened chan struct{}
	closed chan struct{}
	once   sync.Once
}

// rids of the simulcast sections, as the SDK offers them.
var (
	cameraRIDs = []string{"q", "h", "f"}
	screenRIDs = []string{"q", "f"}
)

// New makes a client with all sections of the contract. Close it.
func New(opt Options) (*Client, error) {
	if opt.Audio == 0 && opt.Video == 0 {
		opt.Audio, opt.Video = 3, 9
	}
	c := &Client{opt: opt, opened: make(chan struct{}), closed: make(chan struct{})}
	api, mux, err := NewAPI(opt)
	if err != nil {
		return nil, err
	}
	c.mux = mux
	if c.pc, err = api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle}); err != nil {
		return nil, fmt.Errorf("lightpeer: make connection: %w", err)
	}
	if err := c.layOut(); err != nil {
		return nil, errors.Join(fmt.Errorf("lightpeer: %w", err), c.pc.Close())
	}
	return c, nil
}

// layOut adds the sections in the order of the contract.
func (c *Client) layOut() error {
	mic, err := c.addSenders(events.Microphone, []string{""})
	if err != nil {
		return err
	}
	c.mic = mic[0]
	if c.camera, err = c.addSenders(events.Camera, cameraRIDs); err != nil {
		return err
	}
	if c.screen, err = c.addSenders(events.Screen, screenRIDs); err != nil {
		return err
	}
	sound, err := c.addSenders(events.ScreenAudio, []string{""})
	if err != nil {
		return err
	}
	c.screenAudio = sound[0]
	for i := range c.opt.Audio + c.opt.Video {
		kind := webrtc.RTPCodecTypeAudio
		if i >= c.opt.Audio {
			kind = webrtc.RTPCodecTypeVideo
		}
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := c.pc.AddTransceiverFromKind(kind, init); err != nil {
			return fmt.Errorf("add receive stream: %w", err)
		}
	}
	yes, id := true, uint16(events.ChannelID)
	if c.dc, err = c.pc.CreateDataChannel(events.ChannelLabel, &webrtc.DataChannelInit{Negotiated: &yes, Ordered: &yes, ID: &id}); err != nil {
		return fmt.Errorf("add data channel: %w", err)
	}
	never, pulse := uint16(0), uint16(events.PulseID)
	no := false
	if c.pulse, err = c.pc.CreateDataChannel(events.PulseLabel, &webrtc.DataChannelInit{Negotiated: &yes, Ordered: &no, MaxRetransmits: &never, ID: &pulse}); err != nil {
		return fmt.Errorf("add pulse channel: %w", err)
	}
	c.pulse.OnMessage(c.onMessage)
	if err := c.addData(); err != nil {
		return err
	}
	c.dc.OnOpen(func() { close(c.opened) })
	c.dc.OnClose(c.end)
	c.dc.OnMessage(c.onMessage)
	c.pc.OnTrack(c.onTrack)
	c.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateClosed || s == webrtc.PeerConnectionStateFailed {
			c.end()
		}
	})
	return nil
}

func (c *Client) onMessage(m webrtc.DataChannelMessage) {
	message, err := events.Decode(events.ToSDK, m.Data)
	if err != nil {
		return
	}
	if l, ok := message.(events.Layers); ok {
		c.limit(l)
	}
	if c.opt.OnMessage != nil {
		c.opt.OnMessage(message)
	}
}

// addData adds the channels for data.
func (c *Client) addData() error {
	yes, never := true, uint16(0)
	for i, label := range []string{events.DataLabel, events.LossyLabel} {
		ordered, id := i == 0, uint16(events.DataID+i)
		init := &webrtc.DataChannelInit{Negotiated: &yes, Ordered: &ordered, ID: &id}
		if i == 1 {
			init.MaxRetransmits = &never
		}
		dc, err := c.pc.CreateDataChannel(label, init)
		if err != nil {
			return fmt.Errorf("add data channel: %w", err)
		}
		dc.OnMessage(c.onMessage)
		c.data[i] = dc
	}
	return nil
}

// SendData sends a message of the application; lossy ones are sent once.
func (c *Client) SendData(m events.Data, lossy bool) error {
	raw, err := encode(m)
	if err != nil {
		return err
	}
	dc := c.data[0]
	if lossy {
		dc = c.data[1]
	}
	if err := dc.SendText(string(raw)); err != nil {
		return fmt.Errorf("lightpeer: send data: %w", err)
	}
	return nil
}

func (c *Client) end() { c.once.Do(func() { close(c.closed) }) }

// Offer makes the session description for a join, packed.
func (c *Client) Offer() (string, events.Media, error) {
	offer, err := c.pc.CreateOffer(nil)
	if err != nil {
		return "", events.Media{}, fmt.Errorf("lightpeer: make offer: %w", err)
	}
	if err := c.pc.SetLocalDescription(offer); err != nil {
		return "", events.Media{}, fmt.Errorf("lightpeer: make offer: %w", err)
	}
	var mids []string
	for _, t := range c.pc.GetTransceivers() {
		mids = append(mids, t.Mid())
	}
	c.media = events.Media{
		Microphone: mids[0], Camera: mids[1], Screen: mids[2], ScreenAudio: mids[3],
		Audio: mids[4 : 4+c.opt.Audio], Video: mids[4+c.opt.Audio:],
	}
	return events.Pack(offer.SDP), c.media, nil
}

// Closed is closed when the connection has ended.
func (c *Client) Closed() <-chan struct{} { return c.closed }

// Send sends one message on the data channel.
func (c *Client) Send(m events.Message) error {
	raw, err := encode(m)
	if err != nil {
		return err
	}
	return c.SendRaw(raw)
}

// Ping asks the node for a sign of life, which may be lost. The answer comes to
// OnMessage.
func (c *Client) Ping(n int64) error {
	raw, err := encode(events.Ping{Header: events.Head(events.ActionPing), N: n})
	if err != nil {
		return err
	}
	if err := c.pulse.SendText(string(raw)); err != nil {
		return fmt.Errorf("lightpeer: ping: %w", err)
	}
	return nil
}

// SendRaw sends any text on the data channel.
func (c *Client) SendRaw(raw []byte) error {
	if err := c.dc.SendText(string(raw)); err != nil {
		return fmt.Errorf("lightpeer: send: %w", err)
	}
	return nil
}

// Connection is the connection itself, for what this package does not do.
func (c *Client) Connection() *webrtc.PeerConnection { return c.pc }

// onTrack hands on what comes on a receive stream until it ends.
func (c *Client) onTrack(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	mid := ""
	for _, t := range c.pc.GetTransceivers() {
		if t.Receiver() == receiver {
			mid = t.Mid()
		}
	}
	go func() {
		for {
			packets, _, err := receiver.ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				if r, ok := p.(*rtcp.SenderReport); ok && c.opt.OnReport != nil {
					c.opt.OnReport(mid, r)
				}
			}
		}
	}()
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		if c.opt.OnPacket != nil {
			c.opt.OnPacket(mid, p)
		}
	}
}
