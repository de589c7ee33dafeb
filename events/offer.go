package events

import "slices"

// Profile is the part of a room's limits that its nodes enforce.
type Profile struct {
	// AudioStreams and VideoStreams bound a participant's receive streams.
	AudioStreams int `json:"audioStreams"`
	VideoStreams int `json:"videoStreams"`
	// ReceiveKbps and SendKbps bound what one participant receives and sends.
	ReceiveKbps int64 `json:"receiveKbps"`
	SendKbps    int64 `json:"sendKbps"`
	// VideoCodecs are those publishers may use, the preferred one first; a subset
	// of vp8, h264, vp9, av1.
	VideoCodecs List[string] `json:"videoCodecs"`
}

func (p Profile) validate() error {
	seen := map[string]bool{}
	for _, codec := range p.VideoCodecs {
		switch codec {
		case "vp8", "h264", "vp9", "av1":
		default:
			return badField("profile.videoCodecs", "has %.16q, expected vp8, h264, vp9 or av1", codec)
		}
		if seen[codec] {
			return badField("profile.videoCodecs", "lists %s twice", codec)
		}
		seen[codec] = true
	}
	if len(seen) == 0 {
		return badField("profile.videoCodecs", "is empty")
	}
	return firstOf(
		inRange("profile.audioStreams", int64(p.AudioStreams), 0, MaxAudioStreams),
		inRange("profile.videoStreams", int64(p.VideoStreams), 0, MaxVideoStreams),
		inRange("profile.receiveKbps", p.ReceiveKbps, 1, maxSafe),
		inRange("profile.sendKbps", p.SendKbps, 0, maxSafe),
	)
}

// Person is a participant as the control plane presents it to a node.
type Person struct {
	// Key is a short keyed hash of room and identity: the participant's name in
	// messages between control plane and node.
	Key      string `json:"key"`
	Identity string `json:"identity"`
	Name     string `json:"name,omitempty"`
	Metadata string `json:"metadata,omitempty"`
	Role     Role   `json:"role"`
	// Sources are what a publisher may publish; none means any.
	Sources []Source `json:"sources,omitempty"`
	// Admin may mute, remove and promote others.
	Admin bool `json:"admin,omitempty"`
	// NoData forbids to send [Data].
	NoData bool `json:"noData,omitempty"`
	// Describes allows to [Describe] oneself.
	Describes bool `json:"describes,omitempty"`
}

// MayPublish reports whether role and sources let the person publish s.
func (p Person) MayPublish(s Source) bool {
	return p.Role == Publisher && (len(p.Sources) == 0 || slices.Contains(p.Sources, s))
}

func (p Person) validate() error {
	if p.Role != Publisher && p.Role != Viewer {
		return badField("person.role", "is %.32q, expected publisher or viewer", string(p.Role))
	}
	if len(p.Sources) > 4 {
		return badField("person.sources", "has %d entries, at most 4 are taken", len(p.Sources))
	}
	for _, s := range p.Sources {
		if !s.valid() {
			return badField("person.sources", "has %.32q, which is not a source", string(s))
		}
	}
	return firstOf(
		bounded("person.key", p.Key, 1, MaxID),
		bounded("person.identity", p.Identity, 1, MaxName),
		bounded("person.name", p.Name, 0, MaxName),
		text("person.metadata", p.Metadata, MaxMetadata),
	)
}

// Offer hands a node somebody who has a seat there. A higher revision of the
// same participant replaces a lower one; the same revision again is answered
// as before; a lower one is ignored.
type Offer struct {
	Header
	Generation int64   `json:"generation"`
	Room       string  `json:"room"`
	Profile    Profile `json:"profile"`
	Person     Person  `json:"person"`
	Session    string  `json:"session"`
	Revision   int64   `json:"revision"`
	// ID is the request id of the join.
	ID    string `json:"id"`
	Offer string `json:"offer"`
	Media Media  `json:"media"`
	// From is the session that this one continues. Where its connection is here, it
	// is kept until the new one is open, and stays if that never comes.
	From string `json:"from,omitempty"`
	// ReceiveKbps is where to begin to estimate the participant's network; 0 is
	// unknown.
	ReceiveKbps int64 `json:"receiveKbps,omitempty"`
	// RoomMetadata is the room's; null is none that anybody set.
	RoomMetadata *RoomMetadata `json:"roomMetadata,omitempty"`
	// Ticket goes back unread in [Answered]; it tells the control plane whom the
	// answer is for.
	Ticket string `json:"ticket"`
}

// Validate implements [Message].
func (o Offer) Validate() error {
	if err := o.check(ActionOffer); err != nil {
		return err
	}
	if m := o.RoomMetadata; m != nil {
		if err := m.validate("roomMetadata"); err != nil {
			return err
		}
	}
	return firstOf(
		positive("generation", o.Generation),
		bounded("room", o.Room, 1, MaxName),
		o.Profile.validate(),
		o.Person.validate(),
		bounded("session", o.Session, 8, MaxID),
		positive("revision", o.Revision),
		bounded("id", o.ID, 1, MaxID),
		bounded("ticket", o.Ticket, 1, MaxTicket),
		session("from", o.From),
		inRange("receiveKbps", o.ReceiveKbps, 0, maxSafe),
		o.Media.validate(),
		checkOffer(o.Offer, o.Media),
	)
}

// Answered returns a node's answer to an [Offer], or what was wrong with it, in
// which case the seat is given back.
type Answered struct {
	Header
	Node       string `json:"node"`
	Generation int64  `json:"generation"`
	Room       string `json:"room"`
	Key        string `json:"key"`
	Session    string `json:"session"`
	Revision   int64  `json:"revision"`
	ID         string `json:"id"`
	Ticket     string `json:"ticket"`
	// Answer is the session description, packed by [Pack]; empty when Fault is
	// set.
	Answer string `json:"answer,omitempty"`
	Fault  *Fault `json:"fault,omitempty"`
}

// Fault is an [Error] inside another message.
type Fault struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
}

// Validate implements [Message].
func (a Answered) Validate() error {
	if err := a.check(ActionAnswered); err != nil {
		return err
	}
	if (a.Answer == "") == (a.Fault == nil) {
		return badField("answer", "and fault: exactly one of them is expected")
	}
	if a.Fault != nil {
		if err := firstOf(bounded("fault.code", string(a.Fault.Code), 1, MaxID), text("fault.text", a.Fault.Text, MaxText)); err != nil {
			return err
		}
	}
	return firstOf(
		bounded("node", a.Node, 1, MaxID),
		positive("generation", a.Generation),
		bounded("room", a.Room, 1, MaxName),
		bounded("key", a.Key, 1, MaxID),
		bounded("session", a.Session, 8, MaxID),
		positive("revision", a.Revision),
		bounded("id", a.ID, 1, MaxID),
		bounded("ticket", a.Ticket, 1, MaxTicket),
		bounded("answer", a.Answer, 0, MaxFrame),
	)
}

// LeftReason is why a participant is no longer on a node.
type LeftReason string

// The reasons for leaving.
const (
	LeftByItself  LeftReason = "left"      // said goodbye
	LeftSilent    LeftReason = "silent"    // no sign of life for too long
	LeftNoConnect LeftReason = "unreached" // never connected after the answer
	LeftRemoved   LeftReason = "removed"   // the control plane asked for it
	LeftEnded     LeftReason = "ended"     // the room was ended
)

// Left reports that a participant's connection on this node is over. It frees
// the seat only if the revision is still the seat's.
type Left struct {
	Header
	Node       string     `json:"node"`
	Generation int64      `json:"generation"`
	Room       string     `json:"room"`
	Key        string     `json:"key"`
	Revision   int64      `json:"revision"`
	Reason     LeftReason `json:"reason"`
}

// Validate implements [Message].
func (l Left) Validate() error {
	if err := l.check(ActionLeft); err != nil {
		return err
	}
	switch l.Reason {
	case LeftByItself, LeftSilent, LeftNoConnect, LeftRemoved, LeftEnded:
	default:
		return badField("reason", "is %.32q, which is not a reason", string(l.Reason))
	}
	return firstOf(
		bounded("node", l.Node, 1, MaxID),
		positive("generation", l.Generation),
		bounded("room", l.Room, 1, MaxName),
		bounded("key", l.Key, 1, MaxID),
		positive("revision", l.Revision),
	)
}

// Remove tells a node to close a participant's connection if its revision is
// not above the given one. The node tells the SDK the code and reports [Left].
type Remove struct {
	Header
	Generation int64  `json:"generation"`
	Room       string `json:"room"`
	Key        string `json:"key"`
	Revision   int64  `json:"revision"`
	Code       Code   `json:"code"`
}

// Validate implements [Message].
func (r Remove) Validate() error {
	if err := r.check(ActionRemove); err != nil {
		return err
	}
	return firstOf(
		positive("generation", r.Generation),
		bounded("room", r.Room, 1, MaxName),
		bounded("key", r.Key, 1, MaxID),
		positive("revision", r.Revision),
		bounded("code", string(r.Code), 1, MaxID),
	)
}

// MoveAway tells a node to send participants elsewhere: it tells each of them
// [Move]. They keep their connections until they stand on another node, unless
// they are pressed.
type MoveAway struct {
	Header
	Generation int64  `json:"generation"`
	Room       string `json:"room"`
	// Keys are who is to go; none means everybody of the room.
	Keys []string `json:"keys,omitempty"`
	// Press ends their connections here with [CodeNodeGone], so that they come back
	// elsewhere: the time that they had to go by themselves is over.
	Press bool `json:"press,omitempty"`
}

// MaxMoveKeys bounds the participants in one [MoveAway].
const MaxMoveKeys = 200

// Validate implements [Message].
func (m MoveAway) Validate() error {
	if err := m.check(ActionMove); err != nil {
		return err
	}
	if len(m.Keys) > MaxMoveKeys {
		return badField("keys", "has %d entries, at most %d are taken", len(m.Keys), MaxMoveKeys)
	}
	for _, key := range m.Keys {
		if err := bounded("keys", key, 1, MaxID); err != nil {
			return err
		}
	}
	return firstOf(positive("generation", m.Generation), bounded("room", m.Room, 1, MaxName))
}

// Shutdown tells a node to stop for good: its launch was given up, another life
// of it took over, or it is idle. The node closes what it still carries, exits,
// and so ends its instance. Generation 0 means whatever life receives it.
type Shutdown struct {
	Header
	Generation int64 `json:"generation"`
	Code       Code  `json:"code"`
}

// Validate implements [Message].
func (s Shutdown) Validate() error {
	if err := s.check(ActionShutdown); err != nil {
		return err
	}
	return firstOf(
		inRange("generation", s.Generation, 0, maxSafe),
		bounded("code", string(s.Code), 1, MaxID),
	)
}
