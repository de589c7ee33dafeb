package lightpeer

import (
	"bytes"
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"

	"github.com/spillway-sfu/spillway/events"
)

// The media are two seconds of a test picture at 10 frames a second in three
// sizes (160, 320 and 640 pixels wide), VP8 with one key frame at the begin, and
// two seconds of a 440 Hz tone in Opus.
//
//go:embed media
var media embed.FS

// FrameRate is the frames per second of what [Client.Play] shows.
const FrameRate = 10

const (
	frameTime = time.Second / FrameRate
	soundTime = 20 * time.Millisecond
	// payloadBytes keeps packets within any path's MTU.
	payloadBytes = 1100
)

// Playing says what to play.
type Playing struct {
	// Layers are the camera's layers to send, of "q", "h", "f"; none sends no
	// picture.
	Layers []string
	// Sound sends the microphone.
	Sound bool
	// Stamp ends each packet of a picture with the time at which it was sent, for
	// [SentAt].
	Stamp bool
	// Talk tells whether the person speaks now; nil means always. In silence,
	// packets say so.
	Talk func() bool
}

// Tracks is what [events.Tracks] should list while this plays.
func (p Playing) Tracks() []events.Track {
	var tracks []events.Track
	if p.Sound {
		tracks = append(tracks, events.Track{Source: events.Microphone})
	}
	if len(p.Layers) > 0 {
		tracks = append(tracks, events.Track{Source: events.Camera, Width: 640, Height: 360})
	}
	return tracks
}

// Play publishes until ctx is done or the connection ends. It begins anew with a
// key frame when one is asked for.
func (c *Client) Play(ctx context.Context, what Playing) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var players []func() error
	for _, rid := range what.Layers {
		s := c.Camera(rid)
		if s == nil {
			return fmt.Errorf("lightpeer: no layer %q", rid)
		}
		frames, err := readFrames("media/" + rid + ".ivf")
		if err != nil {
			return err
		}
		players = append(players, func() error { return c.playPicture(ctx, s, frames, what.Stamp) })
	}
	if what.Sound {
		sound, err := readSound("media/tone.ogg")
		if err != nil {
			return err
		}
		players = append(players, func() error { return c.playSound(ctx, sound, what.Talk) })
	}
	failures := make([]error, len(players))
	var playing sync.WaitGroup
	for i, play := range players {
		playing.Go(func() {
			failures[i] = play()
			cancel()
		})
	}
	playing.Wait()
	return errors.Join(failures...)
}

// every calls f at each tick until ctx is done, the connection ends or f fails.
func (c *Client) every(ctx context.Context, d time.Duration, f func(n uint32) error) error {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for n := uint32(0); ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-c.closed:
			return nil
		case <-tick.C:
		}
		if err := f(n); err != nil {
			return err
		}
	}
}

func (c *Client) playPicture(ctx context.Context, s *Sender, frames [][]byte, stamp bool) error {
	next, asked := 0, s.keysAsked.Load()
	var picture uint16
	return c.every(ctx, frameTime, func(n uint32) error {
		if !s.Active() {
			return nil
		}
		if now := s.keysAsked.Load(); now != asked || next == len(frames) {
			next, asked = 0, now
		}
		picture++
		err := s.writeFrame(frames[next], n*90000/FrameRate, picture, stamp)
		next++
		return err
	})
}

// writeFrame sends a VP8 frame (RFC 7741) as browsers do, with a 15-bit picture
// id and TL0PICIDX.
func (s *Sender) writeFrame(frame []byte, timestamp uint32, picture uint16, stamp bool) error {
	const extended, start, ids, long = 0x80, 0x10, 0xc0, 0x80
	for at := 0; at < len(frame); at += payloadBytes {
		part := frame[at:min(at+payloadBytes, len(frame))]
		first := byte(extended)
		if at == 0 {
			first |= start
		}
		payload := append([]byte{first, ids, long | byte(picture>>8), byte(picture), byte(picture)}, part...)
		if stamp {
			payload = binary.BigEndian.AppendUint64(append(payload, stampMark...), uint64(time.Now().UnixNano()))
		}
		if err := s.Write(payload, timestamp, at+payloadBytes >= len(frame), 0); err != nil {
			return err
		}
	}
	return nil
}

// stampMark precedes a packet's time.
const stampMark = "sent"

// SentAt is when a packet that [Playing] has stamped was sent, by this machine's
// clock.
func SentAt(p *rtp.Packet) (time.Time, bool) {
	n := len(p.Payload) - 8
	if n < len(stampMark) || string(p.Payload[n-len(stampMark):n]) != stampMark {
		return time.Time{}, false
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(p.Payload[n:]))), true
}

func (c *Client) playSound(ctx context.Context, sound [][]byte, talk func() bool) error {
	const loud, silent = 25, 127
	return c.every(ctx, soundTime, func(n uint32) error {
		level := uint8(loud)
		if talk != nil && !talk() {
			level = silent
		}
		return c.mic.Write(sound[int(n)%len(sound)], n*960, n == 0, level)
	})
}

func readFrames(name string) ([][]byte, error) {
	raw, err := media.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("lightpeer: %w", err)
	}
	r, _, err := ivfreader.NewWith(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("lightpeer: read %s: %w", name, err)
	}
	var frames [][]byte
	for {
		frame, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return nil, fmt.Errorf("lightpeer: read %s: %w", name, err)
		}
		frames = append(frames, frame)
	}
}

func readSound(name string) ([][]byte, error) {
	raw, err := media.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("lightpeer: %w", err)
	}
	r, _, err := oggreader.NewWith(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("lightpeer: read %s: %w", name, err)
	}
	var packets [][]byte
	for {
		page, header, err := r.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return packets, nil
		}
		if err != nil {
			return nil, fmt.Errorf("lightpeer: read %s: %w", name, err)
		}
		if _, special := header.HeaderType(page); !special && len(page) > 0 {
			packets = append(packets, page)
		}
	}
}
