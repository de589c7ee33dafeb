package events

// Actions between browsers and the gateway.
const (
	ActionJoin    Action = "join"    // client→gateway
	ActionLeave   Action = "leave"   // client→gateway
	ActionAnswer  Action = "answer"  // gateway→client
	ActionWaiting Action = "waiting" // gateway→client
	ActionReady   Action = "ready"   // gateway→client
	ActionLeft    Action = "left"    // gateway→client, and node→gateway
)

// Role is what a participant may do in a room.
type Role string

// The roles. A publisher sends and receives, a viewer receives.
const (
	Publisher Role = "publisher"
	Viewer    Role = "viewer"
)

// Source is what a track shows or carries.
type Source string

// The sources a participant can publish, one track each.
const (
	Microphone  Source = "microphone"
	Camera      Source = "camera"
	Screen      Source = "screen"
	ScreenAudio Source = "screen_audio"
)

// Kind returns "audio" or "video".
func (s Source) Kind() string {
	if s == Microphone || s == ScreenAudio {
		return "audio"
	}
	return "video"
}

// Media tells which media section (by its mid) of the offer is what. An offer
// lists all of them once and for all: it is never renegotiated.
type Media struct {
	Microphone  string `json:"microphone,omitempty"`
	Camera      string `json:"camera,omitempty"`
	Screen      string `json:"screen,omitempty"`
	ScreenAudio string `json:"screenAudio,omitempty"`
	// Audio and Video are the receive streams, at most [MaxAudioStreams] and
	// [MaxVideoStreams].
	Audio List[string] `json:"audio"`
	Video List[string] `json:"video"`
}

// Sending returns the sections in which the participant sends, by source.
func (m Media) Sending() map[Source]string {
	s := map[Source]string{}
	for source, mid := range map[Source]string{
		Microphone: m.Microphone, Camera: m.Camera, Screen: m.Screen, ScreenAudio: m.ScreenAudio} {
		if mid != "" {
			s[source] = mid
		}
	}
	return s
}

// Mids returns every mid that m names: the sending ones first, then audio and
// video in order.
func (m Media) Mids() []string {
	var mids []string
	for _, mid := range []string{m.Microphone, m.Camera, m.Screen, m.ScreenAudio} {
		if mid != "" {
			mids = append(mids, mid)
		}
	}
	return append(append(mids, m.Audio...), m.Video...)
}

func (m Media) validate() error {
	if len(m.Audio) > MaxAudioStreams {
		return badField("media.audio", "has %d streams, at most %d are taken", len(m.Audio), MaxAudioStreams)
	}
	if len(m.Video) > MaxVideoStreams {
		return badField("media.video", "has %d streams, at most %d are taken", len(m.Video), MaxVideoStreams)
	}
	seen := map[string]bool{}
	for _, mid := range m.Mids() {
		if err := bounded("media", mid, 1, 16); err != nil {
			return err
		}
		if seen[mid] {
			return badField("media", "names the section %q twice", mid)
		}
		seen[mid] = true
	}
	return nil
}

// Join asks for a place in the room that the token names, and offers a
// connection. The same session again is a retry and gets the same seat; another
// session of the same participant replaces the earlier one.
type Join struct {
	Header
	ID string `json:"id"`
	// Session is the SDK's random name for one connect().
	Session string `json:"session"`
	// Room, when given, must be the token's: a guard against mixed-up tokens.
	Room string `json:"room,omitempty"`
	// Role is what the participant wants to be; empty means publisher where the
	// token allows it, else viewer.
	Role Role `json:"role,omitempty"`
	// Offer is the session description, packed by [Pack].
	Offer string `json:"offer"`
	Media Media  `json:"media"`
	// Avoid names nodes that did not answer.
	Avoid []string `json:"avoid,omitempty"`
	// From is the session that this one continues. Its seat and its connection are
	// kept until this one stands, so that nothing is lost if it never does.
	// Without it the earlier session ends at once.
	From string `json:"from,omitempty"`
	// ReceiveKbps is what the network was last found to carry towards the
	// participant, as the earlier home said; 0 is unknown.
	ReceiveKbps int64 `json:"receiveKbps,omitempty"`
}

// Validate implements [Message]. It unpacks and checks the offer, so that no
// seat is taken for one that cannot be answered.
func (j Join) Validate() error {
	if err := j.check(ActionJoin); err != nil {
		return err
	}
	if j.Role != "" && j.Role != Publisher && j.Role != Viewer {
		return badField("role", "is %.32q, expected publisher or viewer", string(j.Role))
	}
	if len(j.Avoid) > MaxAvoid {
		return badField("avoid", "has %d nodes, at most %d are taken", len(j.Avoid), MaxAvoid)
	}
	for _, n := range j.Avoid {
		if err := bounded("avoid", n, 1, MaxID); err != nil {
			return err
		}
	}
	if err := firstOf(
		bounded("id", j.ID, 1, MaxID),
		bounded("session", j.Session, 8, MaxID),
		bounded("room", j.Room, 0, MaxName),
		session("from", j.From),
		inRange("receiveKbps", j.ReceiveKbps, 0, maxSafe),
		j.Media.validate(),
	); err != nil {
		return err
	}
	return checkOffer(j.Offer, j.Media)
}

// session checks the name of a session that may be left out.
func session(field, name string) error {
	if name == "" {
		return nil
	}
	return bounded(field, name, 8, MaxID)
}

// Leave gives the seat of a session back. The session that it continued, if
// its connection is still there, has its seat again.
type Leave struct {
	Header
	ID      string `json:"id"`
	Session string `json:"session"`
}

// Validate implements [Message].
func (l Leave) Validate() error {
	if err := l.check(ActionLeave); err != nil {
		return err
	}
	return firstOf(bounded("id", l.ID, 1, MaxID), bounded("session", l.Session, 8, MaxID))
}

// LeaveDone confirms a [Leave].
type LeaveDone struct {
	Header
	ID string `json:"id"`
}

// Validate implements [Message].
func (l LeaveDone) Validate() error {
	if err := l.check(ActionLeft); err != nil {
		return err
	}
	return bounded("id", l.ID, 1, MaxID)
}

// ICEServer is a STUN or TURN server as browsers take it.
type ICEServer struct {
	URLs       List[string] `json:"urls"`
	Username   string       `json:"username,omitempty"`
	Credential string       `json:"credential,omitempty"`
}

func (s ICEServer) validate() error {
	if len(s.URLs) < 1 || len(s.URLs) > 8 {
		return badField("iceServers.urls", "has %d entries, expected 1 to 8", len(s.URLs))
	}
	for _, u := range s.URLs {
		if err := bounded("iceServers.urls", u, 1, 512); err != nil {
			return err
		}
	}
	return firstOf(bounded("iceServers.username", s.Username, 0, 512), bounded("iceServers.credential", s.Credential, 0, 512))
}

// Answer admits a participant: the seat is taken and the node waits for the
// connection.
type Answer struct {
	Header
	ID       string `json:"id"`
	Session  string `json:"session"`
	Revision int64  `json:"revision"`
	Room     string `json:"room"`
	Identity string `json:"identity"`
	Role     Role   `json:"role"`
	// Node is the participant's home.
	Node string `json:"node"`
	// Answer is the session description, packed by [Pack].
	Answer     string      `json:"answer"`
	ICEServers []ICEServer `json:"iceServers,omitempty"`
	// Resume is a sealed ticket for this session. With it a join token that has
	// expired in the meantime still lets its holder back in, for a day.
	Resume string `json:"resume,omitempty"`
}

// Validate implements [Message].
func (a Answer) Validate() error {
	if err := a.check(ActionAnswer); err != nil {
		return err
	}
	if a.Role != Publisher && a.Role != Viewer {
		return badField("role", "is %.32q, expected publisher or viewer", string(a.Role))
	}
	if len(a.ICEServers) > 8 {
		return badField("iceServers", "has %d entries, at most 8 are taken", len(a.ICEServers))
	}
	for _, s := range a.ICEServers {
		if err := s.validate(); err != nil {
			return err
		}
	}
	return firstOf(
		bounded("id", a.ID, 1, MaxID),
		bounded("session", a.Session, 8, MaxID),
		positive("revision", a.Revision),
		bounded("room", a.Room, 1, MaxName),
		bounded("identity", a.Identity, 1, MaxName),
		bounded("node", a.Node, 1, MaxID),
		bounded("answer", a.Answer, 1, MaxFrame),
		bounded("resume", a.Resume, 0, MaxTicket),
	)
}

// Waiting says that no node has room and one is being started. The participant
// stays in line as long as the socket is open.
type Waiting struct {
	Header
	ID string `json:"id"`
	// SinceMs is when the participant began to wait, in Unix milliseconds.
	SinceMs int64 `json:"sinceMs"`
	// EstimateMs is how much longer it will take, in milliseconds; a guess from
	// earlier launches.
	EstimateMs int64 `json:"estimateMs"`
	// Stage tells how far the launch is: asked, starting, booting.
	Stage WaitStage `json:"stage"`
}

// WaitStage is how far the launch that a participant waits for has come.
type WaitStage string

// The stages of waiting.
const (
	StageAsked    WaitStage = "asked"    // in line; nothing is being launched yet
	StageStarting WaitStage = "starting" // an instance was asked for
	StageBooting  WaitStage = "booting"  // the instance exists and starts the node
)

// Validate implements [Message].
func (w Waiting) Validate() error {
	if err := w.check(ActionWaiting); err != nil {
		return err
	}
	switch w.Stage {
	case StageAsked, StageStarting, StageBooting:
	default:
		return badField("stage", "is %.32q, expected asked, starting or booting", string(w.Stage))
	}
	return firstOf(
		bounded("id", w.ID, 1, MaxID),
		positive("sinceMs", w.SinceMs),
		inRange("estimateMs", w.EstimateMs, 0, 3_600_000),
	)
}

// Ready says that a seat is held for somebody who waits: send join again.
type Ready struct {
	Header
	ID string `json:"id"`
}

// Validate implements [Message].
func (r Ready) Validate() error {
	if err := r.check(ActionReady); err != nil {
		return err
	}
	return bounded("id", r.ID, 1, MaxID)
}
