package events

// Actions on the data channel between SDK and node. The channel is called
// [ChannelLabel], is reliable and ordered, and is negotiated by both sides in
// advance with id [ChannelID] (RFC 8832 is not used for it).
const (
	ActionTracks   Action = "tracks"   // sdk→node
	ActionWant     Action = "want"     // sdk→node
	ActionPing     Action = "ping"     // sdk→node
	ActionResync   Action = "resync"   // sdk→node
	ActionGoodbye  Action = "goodbye"  // sdk→node
	ActionSnapshot Action = "snapshot" // node→sdk
	ActionDelta    Action = "delta"    // node→sdk
	ActionStreams  Action = "streams"  // node→sdk
	ActionSpeakers Action = "speakers" // node→sdk
	ActionLayers   Action = "layers"   // node→sdk
	ActionPong     Action = "pong"     // node→sdk
	ActionClosing  Action = "closing"  // node→sdk
)

// ChannelLabel and ChannelID name the control channel. PulseLabel and PulseID
// name the channel for [Ping] and [Pong], unordered and never retransmitted, so
// that a lost packet does not hold up the signs of life behind it.
const (
	ChannelLabel = "control"
	ChannelID    = 0
	PulseLabel   = "pulse"
	PulseID      = 1
)

// Track is one of the sender's tracks as it is now.
type Track struct {
	Source Source `json:"source"`
	Muted  bool   `json:"muted,omitempty"`
	// Width and Height are the captured picture's, in pixels; 0 for audio.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
}

func (t Track) validate() error {
	if !t.Source.valid() {
		return badField("tracks.source", "is %.32q, which is not a source", string(t.Source))
	}
	return firstOf(inRange("tracks.width", int64(t.Width), 0, 16384), inRange("tracks.height", int64(t.Height), 0, 16384))
}

func (s Source) valid() bool {
	switch s {
	case Microphone, Camera, Screen, ScreenAudio:
		return true
	}
	return false
}

// Tracks is everything the participant publishes now; a source that it does not
// list is not published any more.
type Tracks struct {
	Header
	Revision int64       `json:"revision"`
	Tracks   List[Track] `json:"tracks"`
}

// Validate implements [Message].
func (t Tracks) Validate() error {
	if err := t.check(ActionTracks); err != nil {
		return err
	}
	seen := map[Source]bool{}
	for _, track := range t.Tracks {
		if err := track.validate(); err != nil {
			return err
		}
		if seen[track.Source] {
			return badField("tracks", "lists %s twice", track.Source)
		}
		seen[track.Source] = true
	}
	return positive("revision", t.Revision)
}

// WantedVideo is how one publication is shown.
type WantedVideo struct {
	Participant string `json:"participant"`
	Source      Source `json:"source"`
	// Height is the element's, in physical pixels; it bounds the layer that is
	// sent.
	Height int `json:"height"`
	// Pinned publications come first when there is not enough for all.
	Pinned bool `json:"pinned,omitempty"`
	// Off publications are not shown and not sent.
	Off bool `json:"off,omitempty"`
}

// Want is everything the SDK asks to see. Streams that it leaves free are filled
// with other publications by recency of speech, except those that are off.
type Want struct {
	Header
	Revision int64             `json:"revision"`
	Video    List[WantedVideo] `json:"video"`
	// Only keeps free streams empty instead of filling them.
	Only bool `json:"only,omitempty"`
}

// Validate implements [Message].
func (w Want) Validate() error {
	if err := w.check(ActionWant); err != nil {
		return err
	}
	if len(w.Video) > 256 {
		return badField("video", "has %d entries, at most 256 are taken", len(w.Video))
	}
	type publication struct {
		participant string
		source      Source
	}
	seen := map[publication]bool{}
	for _, v := range w.Video {
		if seen[publication{v.Participant, v.Source}] {
			return badField("video", "lists the %.32s of %.128q twice", string(v.Source), v.Participant)
		}
		seen[publication{v.Participant, v.Source}] = true
		if v.Source != Camera && v.Source != Screen {
			return badField("video.source", "is %.32q, expected camera or screen", string(v.Source))
		}
		if err := firstOf(bounded("video.participant", v.Participant, 1, MaxName), inRange("video.height", int64(v.Height), 0, 16384)); err != nil {
			return err
		}
	}
	return positive("revision", w.Revision)
}

// Ping asks for a [Pong] with the same number.
type Ping struct {
	Header
	N int64 `json:"n"`
}

// Validate implements [Message].
func (p Ping) Validate() error {
	if err := p.check(ActionPing); err != nil {
		return err
	}
	return inRange("n", p.N, 0, maxSafe)
}

// Resync asks for the whole [Snapshot] after a gap in the numbered deltas.
type Resync struct{ Header }

// Validate implements [Message].
func (r Resync) Validate() error { return r.check(ActionResync) }

// Goodbye leaves the room; the node frees the seat at once.
type Goodbye struct{ Header }

// Validate implements [Message].
func (g Goodbye) Validate() error { return g.check(ActionGoodbye) }

// Member is a participant as the others see it.
type Member struct {
	Identity string `json:"identity"`
	Name     string `json:"name,omitempty"`
	Metadata string `json:"metadata,omitempty"`
	Role     Role   `json:"role"`
	// Node is the member's home.
	Node string `json:"node"`
	// JoinedMs is when it joined, in Unix milliseconds.
	JoinedMs int64 `json:"joinedMs"`
	// Unreachable says that the member's home cannot be reached from the receiver's
	// at present: nothing of it is received, and it may soon be gone or elsewhere.
	Unreachable bool `json:"unreachable,omitempty"`
	// Tracks are its publications.
	Tracks List[Track] `json:"tracks"`
}

func (m Member) validate() error {
	if m.Role != Publisher && m.Role != Viewer {
		return badField("members.role", "is %.32q, expected publisher or viewer", string(m.Role))
	}
	for _, t := range m.Tracks {
		if err := t.validate(); err != nil {
			return err
		}
	}
	return firstOf(
		bounded("members.identity", m.Identity, 1, MaxName),
		bounded("members.name", m.Name, 0, MaxName),
		text("members.metadata", m.Metadata, MaxMetadata),
		bounded("members.node", m.Node, 1, MaxID),
		positive("members.joinedMs", m.JoinedMs),
	)
}

func validAudience(viewers, here int) error {
	return firstOf(inRange("viewers", int64(viewers), 0, maxSafe), inRange("viewersHere", int64(here), 0, maxSafe))
}

func validateMembers(members []Member) error {
	for _, m := range members {
		if err := m.validate(); err != nil {
			return err
		}
	}
	return nil
}

// MaxListedViewers is how many viewers a room may have for its roster to list
// them. In a larger audience each is told of the publishers, of itself, and of how
// many the others are.
const MaxListedViewers = 100

// Snapshot is the whole roster, in parts of at most [MaxChannel] bytes; it
// includes the receiver itself. Seq is the number of the last [Delta] that it
// contains. All parts of one snapshot have the same Seq.
//
// Viewers is how many viewers the room has, listed or not, and ViewersHere how
// many of them are on the receiver's own node: who would come back with it if that
// node were lost.
type Snapshot struct {
	Header
	Seq         int64  `json:"seq"`
	Part        int    `json:"part"`
	Parts       int    `json:"parts"`
	Room        string `json:"room"`
	Self        string `json:"self"`
	Viewers     int    `json:"viewers,omitempty"`
	ViewersHere int    `json:"viewersHere,omitempty"`
	// RoomMetadata is the room's, in the first part.
	RoomMetadata string       `json:"roomMetadata,omitempty"`
	Members      List[Member] `json:"members"`
}

// Validate implements [Message].
func (s Snapshot) Validate() error {
	if err := s.check(ActionSnapshot); err != nil {
		return err
	}
	return firstOf(
		inRange("seq", s.Seq, 0, maxSafe),
		inRange("parts", int64(s.Parts), 1, 10_000),
		inRange("part", int64(s.Part), 0, int64(s.Parts)-1),
		bounded("room", s.Room, 1, MaxName),
		bounded("self", s.Self, 1, MaxName),
		validAudience(s.Viewers, s.ViewersHere),
		text("roomMetadata", s.RoomMetadata, MaxRoomMetadata),
		validateMembers(s.Members),
	)
}

// Delta is what changed in the roster: members as they are now, and identities
// that have left. Seq grows by one with each.
type Delta struct {
	Header
	Seq         int64    `json:"seq"`
	Viewers     int      `json:"viewers,omitempty"`
	ViewersHere int      `json:"viewersHere,omitempty"`
	Changed     []Member `json:"changed,omitempty"`
	Gone        []string `json:"gone,omitempty"`
	// RoomMetadata is the room's from now on; null is as before.
	RoomMetadata *string `json:"roomMetadata,omitempty"`
}

// Validate implements [Message].
func (d Delta) Validate() error {
	if err := d.check(ActionDelta); err != nil {
		return err
	}
	for _, id := range d.Gone {
		if err := bounded("gone", id, 1, MaxName); err != nil {
			return err
		}
	}
	if m := d.RoomMetadata; m != nil {
		if err := text("roomMetadata", *m, MaxRoomMetadata); err != nil {
			return err
		}
	}
	return firstOf(positive("seq", d.Seq), validAudience(d.Viewers, d.ViewersHere), validateMembers(d.Changed))
}

// Stream is what one receive stream carries.
type Stream struct {
	// Mid is the receive stream's section of the session description.
	Mid         string `json:"mid"`
	Participant string `json:"participant"`
	Source      Source `json:"source"`
	// CSRC is the number that the RTP packets of this publication carry in their
	// list of contributing sources.
	CSRC uint32 `json:"csrc"`
	// Timestamp is the RTP timestamp of the first frame of this publication on
	// this receive stream; what comes before it belongs to the one before.
	Timestamp uint32 `json:"timestamp"`
	// Paused publications have no layer small enough for the receiver's network.
	Paused bool `json:"paused,omitempty"`
	// Undecodable publications come in a codec that the receiver did not offer.
	Undecodable bool `json:"undecodable,omitempty"`
}

// Streams is what every receive stream carries; those not listed are empty.
type Streams struct {
	Header
	Revision int64        `json:"revision"`
	Streams  List[Stream] `json:"streams"`
}

// Validate implements [Message].
func (s Streams) Validate() error {
	if err := s.check(ActionStreams); err != nil {
		return err
	}
	if len(s.Streams) > MaxAudioStreams+MaxVideoStreams {
		return badField("streams", "has %d entries, at most %d are taken", len(s.Streams), MaxAudioStreams+MaxVideoStreams)
	}
	seen := map[string]bool{}
	for _, st := range s.Streams {
		if seen[st.Mid] {
			return badField("streams", "lists %.16q twice", st.Mid)
		}
		seen[st.Mid] = true
		if !st.Source.valid() {
			return badField("streams.source", "is %.32q, which is not a source", string(st.Source))
		}
		if err := firstOf(bounded("streams.mid", st.Mid, 1, 16), bounded("streams.participant", st.Participant, 1, MaxName)); err != nil {
			return err
		}
	}
	return positive("revision", s.Revision)
}

// Speaker is somebody who speaks.
type Speaker struct {
	Participant string `json:"participant"`
	// Level is the loudness in -dBov, 0 (loudest) to 127 (silence), as in RFC 6464.
	Level int `json:"level"`
}

// Speakers lists who speaks now, the dominant speaker first.
type Speakers struct {
	Header
	Speakers List[Speaker] `json:"speakers"`
}

// Validate implements [Message].
func (s Speakers) Validate() error {
	if err := s.check(ActionSpeakers); err != nil {
		return err
	}
	for _, sp := range s.Speakers {
		if err := firstOf(bounded("speakers.participant", sp.Participant, 1, MaxName), inRange("speakers.level", int64(sp.Level), 0, 127)); err != nil {
			return err
		}
	}
	return nil
}

// Pong answers [Ping].
type Pong struct {
	Header
	N int64 `json:"n"`
}

// Validate implements [Message].
func (p Pong) Validate() error {
	if err := p.check(ActionPong); err != nil {
		return err
	}
	return inRange("n", p.N, 0, maxSafe)
}
