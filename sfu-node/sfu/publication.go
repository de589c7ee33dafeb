package sfu

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

// publication is a source that a participant may publish: made with the
// connection, offered to the others while the participant lists it.
type publication struct {
	identity string // of the participant who publishes it
	source   events.Source
	revision int64 // of the session that publishes it
	from     origin
	csrc     uint32

	// barred says that the participant may not publish this now.
	barred atomic.Bool
	listed atomic.Bool
	muted  atomic.Bool
	// codec is that of its last packet.
	codec atomic.Uint32
	// receivers are the streams that carry this publication. The slice is
	// replaced as a whole, under Room.mu, and read without a lock.
	receivers atomic.Pointer[[]*stream]
	layers    [layer.Count]feed
	levels    levels

	// What follows is guarded by Room.mu.
	track    events.Track
	prior    *publication // what receivers still have instead; see succeed.go
	heir     *publication // what takes its place
	heldAt   time.Duration
	listedAt int64 // order of listing within the room
	measured time.Duration
	flows    [layer.Count]layer.Flow
	usage    usage
	far      *far // nil for a participant of this node; never changes
}

// origin is where a publication's packets come from: a participant of this node,
// or another node.
type origin interface {
	// kickKeys makes the origin look soon at the key frames that are due. It does
	// not block.
	kickKeys()
}

// outlet takes the packets of one layer as its origin numbered them, before any
// receiver's stream rewrites them: it is how they get to other nodes. b.Packets
// are the packets; the outlet adds to the batch, and must not block.
type outlet interface {
	send(b *pipe.Batch)
}

// feed is what the packet path notes about one layer of a publication.
type feed struct {
	ssrc   atomic.Uint32
	last   atomic.Int64 // when the last packet came, on the node's clock
	bytes  atomic.Int64
	height atomic.Int64 // in pixels, as the last key frame said; 0 is unknown
	sync   atomic.Pointer[syncPoint]

	// outlets are replaced as a whole, like receivers.
	outlets atomic.Pointer[[]outlet]

	history history

	counted int64 // bytes at the last measure; guarded by Room.mu

	keys keyRequest
}

func newPublication(p *Peer, source events.Source) *publication {
	return &publication{identity: p.person.Identity, source: source, revision: p.revision, from: p, csrc: rand.Uint32() | 1}
}

func (pub *publication) view() view { return view{pub.identity, pub.source} }

func (pub *publication) video() bool { return pub.source.Kind() == "video" }

// available reports whether receivers may be given this publication.
func (pub *publication) available() bool {
	return pub.listed.Load() && !(pub.video() && pub.muted.Load())
}

// add makes s carry this publication. The caller holds Room.mu.
func (pub *publication) add(s *stream) {
	old := pub.all()
	now := make([]*stream, len(old), len(old)+1)
	copy(now, old)
	now = append(now, s)
	pub.receivers.Store(&now)
}

// remove undoes add. The caller holds Room.mu.
func (pub *publication) remove(s *stream) {
	now := slices.DeleteFunc(slices.Clone(pub.all()), func(r *stream) bool { return r == s })
	pub.receivers.Store(&now)
}

func (pub *publication) all() []*stream {
	if r := pub.receivers.Load(); r != nil {
		return *r
	}
	return nil
}

// connect gives a layer's packets to an outlet too. The caller holds Room.mu.
func (pub *publication) connect(i int, o outlet) {
	now := append(slices.Clone(pub.layers[i].outs()), o)
	pub.layers[i].outlets.Store(&now)
}

// disconnect undoes connect. The caller holds Room.mu.
func (pub *publication) disconnect(i int, o outlet) {
	now := slices.DeleteFunc(slices.Clone(pub.layers[i].outs()), func(other outlet) bool { return other == o })
	pub.layers[i].outlets.Store(&now)
}

func (f *feed) outs() []outlet {
	if o := f.outlets.Load(); o != nil {
		return *o
	}
	return nil
}

// interrupt makes all streams that carry this publication wait for a start.
func (pub *publication) interrupt() {
	for _, s := range pub.all() {
		s.interrupt()
	}
}

const (
	// A layer without packets for so long does not flow. Screens that do not
	// change are sent about once a second.
	cameraLapse = 1500 * time.Millisecond
	screenLapse = 3 * time.Second

	measureEvery = time.Second
)

// measure brings flows up to date. Those of other nodes' publications are told, not
// measured: most of them do not come here. The caller holds Room.mu.
func (pub *publication) measure(now time.Duration) {
	if pub.far != nil {
		return
	}
	lapse := cameraLapse
	if pub.source == events.Screen {
		lapse = screenLapse
	}
	span := now - pub.measured
	begins := pub.measured == 0 // there is nothing to compare with
	for i := range pub.layers {
		f := &pub.layers[i]
		last := time.Duration(f.last.Load())
		flowing := last > 0 && now-last < lapse
		pub.flows[i].Live = flowing || pub.usage.pending(i, now)
		if pub.flows[i].Height = int(f.height.Load()); pub.flows[i].Height == 0 {
			pub.flows[i].Height = layer.Height(i, pub.track.Height)
		}
		if span >= measureEvery {
			total := f.bytes.Load()
			kbps := (total - f.counted) * 8 / span.Milliseconds()
			f.counted = total
			if begins || !flowing || pub.usage.pending(i, now) {
				continue
			}
			// Half of the new figure: one key frame is no trend.
			if old := pub.flows[i].Kbps; old > 0 {
				kbps = (old + kbps) / 2
			}
			pub.flows[i].Kbps = kbps
		}
	}
	if span >= measureEvery {
		pub.measured = now
	}
}

const (
	// A publisher is asked for a key frame of a layer at most this often; a
	// receiver's first frame waits less.
	keyEvery      = time.Second
	firstKeyEvery = 150 * time.Millisecond
)

// keyRequest merges what many receivers ask of one layer.
type keyRequest struct {
	mu     sync.Mutex
	wanted bool
	first  bool
	asked  time.Duration // when the last request was sent
	sent   bool
}

// requestKey asks the publisher for a key frame of a layer; first says that the
// receiver has no picture at all yet. It returns at once: the origin's
// own goroutine sends what is due.
func (pub *publication) requestKey(i int, first bool) {
	k := &pub.layers[i].keys
	k.mu.Lock()
	k.wanted = true
	k.first = k.first || first
	k.mu.Unlock()
	pub.from.kickKeys()
}

// gotKey notes that a key frame of a layer has begun: requests are served.
func (pub *publication) gotKey(i int) {
	k := &pub.layers[i].keys
	k.mu.Lock()
	k.wanted, k.first = false, false
	k.mu.Unlock()
}

// keysDue takes the requests that may be sent now, as the SSRCs of their
// layers. It also returns how long the next of the others has to wait, or 0.
func (pub *publication) keysDue(now time.Duration) (due []uint32, wait time.Duration) {
	for i := range pub.layers {
		f := &pub.layers[i]
		f.keys.mu.Lock()
		ssrc := f.ssrc.Load()
		if !f.keys.wanted || ssrc == 0 {
			f.keys.mu.Unlock()
			continue
		}
		every := keyEvery
		if f.keys.first {
			every = firstKeyEvery
		}
		if left := f.keys.asked + every - now; f.keys.sent && left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
		} else {
			if !slices.Contains(due, ssrc) { // of a scalable stream all layers have one
				due = append(due, ssrc)
			}
			f.keys.asked, f.keys.sent = now, true
			f.keys.wanted, f.keys.first = false, false
		}
		f.keys.mu.Unlock()
	}
	return due, wait
}

// levels collects the loudness of a publication's packets between two looks of
// its room.
type levels struct {
	mu     sync.Mutex
	heard  [maxLevels]heard
	n      int
	voiced bool // the last packet was loud
}

type heard struct {
	level uint8
	at    time.Duration
}

// maxLevels is how many packets a room may be late; 64 are more than a second.
const maxLevels = 64

// voiceLevel is the loudness, in -dBov, from which on a packet may be speech.
const voiceLevel = 55

// add notes a packet's level. It reports whether a voice begins with it.
func (l *levels) add(level uint8, at time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n < maxLevels {
		l.heard[l.n] = heard{level, at}
		l.n++
	}
	onset := level <= voiceLevel && !l.voiced
	l.voiced = level <= voiceLevel
	return onset
}

// take empties the collection into buf.
func (l *levels) take(buf *[maxLevels]heard) []heard {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := copy(buf[:], l.heard[:l.n])
	l.n = 0
	return buf[:n]
}
