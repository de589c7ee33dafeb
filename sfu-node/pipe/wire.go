package pipe

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spillway-sfu/spillway/events"
)

// protocol is agreed on in the TLS handshake (ALPN, RFC 7301): nodes whose
// protocols differ do not connect.
const protocol = "spillway-pipe/1"

// kind numbers the messages of the control channel, each of which is a frame: its
// length in four bytes, its kind in one, and JSON.
type kind byte

const (
	kindAlive kind = iota + 1 // empty: a sign of life
	kindOpen
	kindShut
	kindRoster
	kindLayers
	kindSpeaking
	kindWants
	kindKey
	kindClocks
	kindSaid
	kinds
)

// maxFrame bounds a frame. Whoever has more to say says it in parts.
const maxFrame = 1 << 20

// Message is what one node tells another about a room. The channel is reliable
// and ordered; with each new connection everything is told again.
type Message interface {
	kind() kind
	// About is the room that the message is about.
	About() string
}

// Open says that the sender takes part in a room and has the receiver among its
// neighbours. It asks for everything that the receiver has to say of the room,
// now and from now on.
type Open struct {
	Room  string `json:"room"`
	Epoch int64  `json:"epoch"`
}

// Shut takes back [Open].
type Shut struct {
	Room string `json:"room"`
}

// Member is a participant who sits on the sender's side of the pipe.
type Member struct {
	events.Member
	// Revision is that of the participant's session. Of several members with one
	// identity the highest counts.
	Revision int64 `json:"revision"`
	// Path are the nodes that this was passed on by, the member's home first and the
	// sender last. A node that finds itself there ignores the member.
	Path []string `json:"path"`
	// Published is more about the tracks.
	Published map[events.Source]Published `json:"published,omitempty"`
}

// Published is a publication as nodes know it.
type Published struct {
	// CSRC names it in what receivers get.
	CSRC uint32 `json:"csrc"`
	// Revision is that of the session which publishes it: it tells incarnations
	// apart.
	Revision int64 `json:"revision"`
}

// Roster tells members as they are now, and which are no longer there.
type Roster struct {
	Room string `json:"room"`
	// Fresh says that nobody else is there but those that are told from here on, up
	// to and including the message with Complete.
	Fresh    bool     `json:"fresh,omitempty"`
	Complete bool     `json:"complete,omitempty"`
	Members  []Member `json:"members,omitempty"`
	Gone     []string `json:"gone,omitempty"`
	// Viewers is how many viewers are on the sender's side of the pipe. Withheld says
	// that they are too many to be among the members.
	Viewers  int  `json:"viewers,omitempty"`
	Withheld bool `json:"withheld,omitempty"`
	// Described is the room's metadata, where it is news.
	Described *events.RoomMetadata `json:"described,omitempty"`
}

// Publication names a publication of one session of a participant.
type Publication struct {
	Identity string        `json:"identity"`
	Source   events.Source `json:"source"`
	Revision int64         `json:"revision"`
}

// Layer is what the sender could send of one layer.
type Layer struct {
	Index  int   `json:"index"`
	Height int   `json:"height"`
	Kbps   int64 `json:"kbps"`
}

// Flowing tells which layers of a publication flow.
type Flowing struct {
	Publication
	Layers []Layer `json:"layers,omitempty"`
}

// Layers tells what has changed.
type Layers struct {
	Room         string    `json:"room"`
	Publications []Flowing `json:"publications"`
}

// Speaking is everybody on the sender's side who speaks now, the loudest first,
// and whose sound may be asked for.
type Speaking struct {
	Room     string           `json:"room"`
	Speakers []events.Speaker `json:"speakers,omitempty"`
	Loudest  []string         `json:"loudest,omitempty"`
}

// Want is one layer that the sender wants to be sent, as a flow whose number it
// chose by [Link.Expect].
type Want struct {
	Publication
	Layer int    `json:"layer"`
	Flow  uint32 `json:"flow"`
}

// Wants is everything that the sender wants of a room.
type Wants struct {
	Room  string `json:"room"`
	Wants []Want `json:"wants,omitempty"`
}

// Key asks for a key frame of a layer; First says that somebody has no picture
// at all yet.
type Key struct {
	Room string `json:"room"`
	Publication
	Layer int  `json:"layer"`
	First bool `json:"first,omitempty"`
}

// Clock is a sender report of a publication's layer: at one instant the
// participant's clock, in nanoseconds, and the RTP clock showed these.
type Clock struct {
	Publication
	Layer     int    `json:"layer"`
	Nanos     int64  `json:"nanos"`
	Timestamp uint32 `json:"timestamp"`
}

// Clocks tells the newest reports of what the receiver is sent.
type Clocks struct {
	Room   string  `json:"room"`
	Clocks []Clock `json:"clocks"`
}

// Said is what a participant's application says to others, on the sender's side of
// the pipe: an encoded [events.DataFrom], and whom it is for.
type Said struct {
	Room  string          `json:"room"`
	From  string          `json:"from"`
	To    []string        `json:"to,omitempty"`
	Lossy bool            `json:"lossy,omitempty"`
	Data  json.RawMessage `json:"data"`
}

func (Open) kind() kind     { return kindOpen }
func (Shut) kind() kind     { return kindShut }
func (Roster) kind() kind   { return kindRoster }
func (Layers) kind() kind   { return kindLayers }
func (Speaking) kind() kind { return kindSpeaking }
func (Wants) kind() kind    { return kindWants }
func (Key) kind() kind      { return kindKey }
func (Clocks) kind() kind   { return kindClocks }
func (Said) kind() kind     { return kindSaid }

// About implements [Message].
func (m Open) About() string { return m.Room }

// About implements [Message].
func (m Shut) About() string { return m.Room }

// About implements [Message].
func (m Roster) About() string { return m.Room }

// About implements [Message].
func (m Layers) About() string { return m.Room }

// About implements [Message].
func (m Speaking) About() string { return m.Room }

// About implements [Message].
func (m Wants) About() string { return m.Room }

// About implements [Message].
func (m Key) About() string { return m.Room }

// About implements [Message].
func (m Clocks) About() string { return m.Room }

// About implements [Message].
func (m Said) About() string { return m.Room }

// errKind says that a frame is of no kind that this side knows.
var errKind = errors.New("pipe: unknown kind of message")

// decode reads the body of a frame.
func decode(k kind, body []byte) (Message, error) {
	switch k {
	case kindOpen:
		return read[Open](body)
	case kindShut:
		return read[Shut](body)
	case kindRoster:
		return read[Roster](body)
	case kindLayers:
		return read[Layers](body)
	case kindSpeaking:
		return read[Speaking](body)
	case kindWants:
		return read[Wants](body)
	case kindKey:
		return read[Key](body)
	case kindClocks:
		return read[Clocks](body)
	case kindSaid:
		return read[Said](body)
	}
	return nil, fmt.Errorf("%w: %d", errKind, k)
}

func read[M Message](body []byte) (Message, error) {
	var m M
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("pipe: read %T: %w", m, err)
	}
	return m, nil
}
