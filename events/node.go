package events

import (
	"hash/fnv"
	"net/netip"
)

// Actions between nodes and the gateway.
const (
	ActionHello     Action = "hello"     // node→gateway
	ActionHeartbeat Action = "heartbeat" // node→gateway
	ActionAnswered  Action = "answered"  // node→gateway
	ActionWelcome   Action = "welcome"   // gateway→node
	ActionRenewed   Action = "renewed"   // gateway→node
	ActionOffer     Action = "offer"     // gateway→node
	ActionRemove    Action = "remove"    // gateway→node
	ActionShutdown  Action = "shutdown"  // gateway→node
)

// MaxSlots bounds the sockets that one node keeps open at a time.
const MaxSlots = 4

// Scope tells from where an address can be reached.
type Scope string

// The scopes of a node's addresses.
const (
	PublicScope  Scope = "public"
	PrivateScope Scope = "private"
)

// Address is where a node takes media over UDP.
type Address struct {
	IP    string `json:"ip"`
	Port  int    `json:"port"`
	Scope Scope  `json:"scope"`
}

func (a Address) validate() error {
	if _, err := netip.ParseAddr(a.IP); err != nil {
		return badField("addresses.ip", "is not an IP address")
	}
	if a.Scope != PublicScope && a.Scope != PrivateScope {
		return badField("addresses.scope", "is %.32q, expected public or private", string(a.Scope))
	}
	return inRange("addresses.port", int64(a.Port), 1, 65535)
}

// Hello is a node's first message on each of its sockets. Boot is random and
// made anew each time the process starts: an unseen one begins a new
// generation, a known one adds a socket to the present generation.
type Hello struct {
	Header
	Node string `json:"node"`
	Boot string `json:"boot"`
	// Slot tells the node's sockets apart, 0 to [MaxSlots]-1. A hello on a slot
	// in use replaces that socket.
	Slot      int           `json:"slot"`
	Addresses List[Address] `json:"addresses"`
	// Fingerprint is the SHA-256 of the node's DTLS certificate in colon-separated
	// hexadecimal digits (RFC 8122, section 5).
	Fingerprint string `json:"fingerprint"`
	// Build names the version of sfu-node.
	Build string `json:"build"`
}

// Validate implements [Message].
func (h Hello) Validate() error {
	if err := h.check(ActionHello); err != nil {
		return err
	}
	if len(h.Addresses) < 1 || len(h.Addresses) > 8 {
		return badField("addresses", "has %d entries, expected 1 to 8", len(h.Addresses))
	}
	for _, a := range h.Addresses {
		if err := a.validate(); err != nil {
			return err
		}
	}
	return firstOf(
		bounded("node", h.Node, 1, MaxID),
		bounded("boot", h.Boot, 8, MaxID),
		inRange("slot", int64(h.Slot), 0, MaxSlots-1),
		bounded("fingerprint", h.Fingerprint, 95, 95),
		bounded("build", h.Build, 0, MaxID),
	)
}

// Welcome answers [Hello]: the node may serve until its lease ends.
type Welcome struct {
	Header
	Node string `json:"node"`
	Boot string `json:"boot"`
	Slot int    `json:"slot"`
	// Generation goes into every later message of this life of the node.
	Generation int64 `json:"generation"`
	// HeartbeatMs is the time between heartbeats, LeaseMs how long one lasts.
	HeartbeatMs int64 `json:"heartbeatMs"`
	LeaseMs     int64 `json:"leaseMs"`
}

// Validate implements [Message].
func (w Welcome) Validate() error {
	if err := w.check(ActionWelcome); err != nil {
		return err
	}
	return firstOf(
		bounded("node", w.Node, 1, MaxID),
		bounded("boot", w.Boot, 8, MaxID),
		inRange("slot", int64(w.Slot), 0, MaxSlots-1),
		positive("generation", w.Generation),
		inRange("heartbeatMs", w.HeartbeatMs, 100, 60_000),
		inRange("leaseMs", w.LeaseMs, w.HeartbeatMs, 600_000),
	)
}

// Load is what something costs, carries or may still take.
type Load struct {
	Kbps int64 `json:"kbps"`
	PPS  int64 `json:"pps"` // packets per second
}

// RoomMembers lists who of a room has a seat or a connection on a node:
// participant key → session revision.
type RoomMembers struct {
	Room    string           `json:"room"`
	Members map[string]int64 `json:"members"`
}

// Inventory is everybody a node carries, in parts that each fit a frame. A node
// sends all parts after its welcome and then at least once a minute, in
// consecutive heartbeats. A part is complete for the keys that belong to it by
// [InventoryPart], so that each can be acted on without the others.
type Inventory struct {
	// TakenMs is when the node listed its participants, in Unix milliseconds of
	// the node's own clock.
	TakenMs int64 `json:"takenMs"`
	Part    int   `json:"part"`
	Parts   int   `json:"parts"`
	// Rooms holds the participants of this part, by room.
	Rooms []RoomMembers `json:"rooms"`
}

// MaxInventoryMembers bounds the participants in one part, and
// MaxInventoryNames the bytes of room names, so that a heartbeat stays within
// [MaxFrame].
const (
	MaxInventoryMembers = 400
	MaxInventoryNames   = 12 << 10
)

// InventoryPart tells to which of parts an inventory's participant belongs: the
// 32-bit FNV-1a hash of its key, modulo parts.
func InventoryPart(key string, parts int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // a hash cannot fail
	return int(h.Sum32() % uint32(max(parts, 1)))
}

// Heartbeat renews the node's lease and reports what it carries.
type Heartbeat struct {
	Header
	Node       string `json:"node"`
	Generation int64  `json:"generation"`
	// Seq grows with each heartbeat of this generation.
	Seq int64 `json:"seq"`
	// Load is what the node sends to participants, measured since the last
	// heartbeat.
	Load   Load `json:"load"`
	People int  `json:"people"`
	Rooms  int  `json:"rooms"`
	// CPUPercent is the share of all cores that the process used, 0 to 100.
	CPUPercent int        `json:"cpuPercent"`
	Inventory  *Inventory `json:"inventory,omitempty"`
}

// Validate implements [Message].
func (h Heartbeat) Validate() error {
	if err := h.check(ActionHeartbeat); err != nil {
		return err
	}
	if err := firstOf(
		bounded("node", h.Node, 1, MaxID),
		positive("generation", h.Generation),
		positive("seq", h.Seq),
		inRange("load.kbps", h.Load.Kbps, 0, maxSafe),
		inRange("load.pps", h.Load.PPS, 0, maxSafe),
		inRange("people", int64(h.People), 0, 1_000_000),
		inRange("rooms", int64(h.Rooms), 0, 1_000_000),
		inRange("cpuPercent", int64(h.CPUPercent), 0, 100),
	); err != nil {
		return err
	}
	if h.Inventory == nil {
		return nil
	}
	inv := h.Inventory
	if err := firstOf(
		positive("inventory.takenMs", inv.TakenMs),
		inRange("inventory.parts", int64(inv.Parts), 1, 1000),
		inRange("inventory.part", int64(inv.Part), 0, int64(inv.Parts)-1),
	); err != nil {
		return err
	}
	total := 0
	for _, r := range inv.Rooms {
		total += len(r.Members)
		if err := bounded("inventory.rooms.room", r.Room, 1, MaxName); err != nil {
			return err
		}
		for key, rev := range r.Members {
			if err := firstOf(bounded("inventory.rooms.members", key, 1, MaxID), positive("inventory.rooms.members", rev)); err != nil {
				return err
			}
			if InventoryPart(key, inv.Parts) != inv.Part {
				return badField("inventory.rooms.members", "has %.64q, which belongs to another part", key)
			}
		}
	}
	if total > MaxInventoryMembers {
		return badField("inventory", "has %d members, at most %d are taken", total, MaxInventoryMembers)
	}
	return nil
}

// Renewed answers [Heartbeat]: the lease runs on from the moment that heartbeat
// was sent.
type Renewed struct {
	Header
	Node       string `json:"node"`
	Generation int64  `json:"generation"`
	Seq        int64  `json:"seq"`
	LeaseMs    int64  `json:"leaseMs"`
	// Draining tells the node to take no new participants.
	Draining bool `json:"draining,omitempty"`
	// Token replaces the node's token when that nears its end.
	Token string `json:"token,omitempty"`
}

// Validate implements [Message].
func (r Renewed) Validate() error {
	if err := r.check(ActionRenewed); err != nil {
		return err
	}
	return firstOf(
		bounded("node", r.Node, 1, MaxID),
		positive("generation", r.Generation),
		positive("seq", r.Seq),
		inRange("leaseMs", r.LeaseMs, 100, 600_000),
	)
}

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

// Person is a participant as the control plane presents it to a node.
type Person struct {
	// Key is a short keyed hash of room and identity: the participant's name in
	// messages between control plane and node.
	Key      string `json:"key"`
	Identity string `json:"identity"`
	Name     string `json:"name,omitempty"`
	Metadata string `json:"metadata,omitempty"`
	Role     Role   `json:"role"`
	// Admin may mute, remove and promote others.
	Admin bool `json:"admin,omitempty"`
}

func (p Person) validate() error {
	if p.Role != Publisher && p.Role != Viewer {
		return badField("person.role", "is %.32q, expected publisher or viewer", string(p.Role))
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
	// Ticket goes back unread in [Answered]; it tells the control plane whom the
	// answer is for.
	Ticket string `json:"ticket"`
}

// Validate implements [Message].
func (o Offer) Validate() error {
	if err := o.check(ActionOffer); err != nil {
		return err
	}
	return firstOf(
		positive("generation", o.Generation),
		bounded("room", o.Room, 1, MaxName),
		o.Person.validate(),
		bounded("session", o.Session, 8, MaxID),
		positive("revision", o.Revision),
		bounded("id", o.ID, 1, MaxID),
		bounded("ticket", o.Ticket, 1, 2048),
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
		if err := firstOf(bounded("fault.code", string(a.Fault.Code), 1, MaxID), text("fault.text", a.Fault.Text, 1024)); err != nil {
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
		bounded("ticket", a.Ticket, 1, 2048),
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
	case LeftByItself, LeftSilent, LeftNoConnect, LeftRemoved:
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
