package events

// Actions by which one participant, or the customer's backend, changes what
// another may do.
const (
	ActionModerate  Action = "moderate"  // sdk→node, and node→gateway
	ActionModerated Action = "moderated" // gateway→node, and node→sdk
	ActionRole      Action = "role"      // gateway→node
	ActionMute      Action = "mute"      // gateway→node, and node→sdk
	ActionEnd       Action = "end"       // gateway→node
)

// Deed is what a [Moderate] does.
type Deed string

// The deeds. All but end and metadata are done to one participant.
const (
	Promote     Deed = "promote"  // to publisher
	Demote      Deed = "demote"   // to viewer; everybody may demote themselves
	Mute        Deed = "mute"     // sources are switched off; their owner may switch them on again
	RemoveDeed  Deed = "remove"   // out of the room; the session is void
	SetMetadata Deed = "metadata" // of one participant, or of the room
	EndRoom     Deed = "end"      // everybody is disconnected, and the room's declaration is forgotten
)

// Done says that what was asked is done, or is being done.
type Done struct {
	Header
	ID string `json:"id"`
	// Moving says that a promoted participant has to change nodes first: the new
	// role comes with the new home.
	Moving bool `json:"moving,omitempty"`
}

// Validate implements [Message].
func (d Done) Validate() error {
	if err := d.check(ActionModerated); err != nil {
		return err
	}
	return bounded("id", d.ID, 1, MaxID)
}

// Moderate asks the node to do something to somebody. It takes a token with
// roomAdmin, except to demote oneself. The node answers with [Done] or an
// [Error] with the same id.
type Moderate struct {
	Header
	ID   string `json:"id"`
	Deed Deed   `json:"deed"`
	// Participant is whom it is about; empty for the room.
	Participant string `json:"participant,omitempty"`
	// Sources are what to mute.
	Sources []Source `json:"sources,omitempty"`
	// Metadata is that of the participant, or of the room, from now on.
	Metadata string `json:"metadata,omitempty"`
}

// Validate implements [Message].
func (m Moderate) Validate() error {
	if err := m.check(ActionModerate); err != nil {
		return err
	}
	return firstOf(bounded("id", m.ID, 1, MaxID), checkDeed(m.Deed, m.Participant, m.Sources, m.Metadata))
}

// checkDeed checks that a deed has what it needs, and nothing else.
func checkDeed(d Deed, participant string, sources []Source, metadata string) error {
	switch d {
	case Promote, Demote, Mute, RemoveDeed:
		if err := bounded("participant", participant, 1, MaxName); err != nil {
			return err
		}
	case SetMetadata:
		most := MaxMetadata
		if participant == "" {
			most = MaxRoomMetadata
		}
		if err := firstOf(bounded("participant", participant, 0, MaxName), text("metadata", metadata, most)); err != nil {
			return err
		}
	case EndRoom:
		if participant != "" {
			return badField("participant", "is of no use here: the whole room ends")
		}
	default:
		return badField("deed", "is %.32q, expected promote, demote, mute, remove, metadata or end", string(d))
	}
	if metadata != "" && d != SetMetadata {
		return badField("metadata", "is of no use here")
	}
	if d == Mute {
		return checkSources("sources", sources)
	}
	if len(sources) > 0 {
		return badField("sources", "are of no use here")
	}
	return nil
}

func checkSources(field string, sources []Source) error {
	if len(sources) < 1 || len(sources) > 4 {
		return badField(field, "has %d entries, expected 1 to 4", len(sources))
	}
	for _, s := range sources {
		if !s.valid() {
			return badField(field, "has %.32q, which is not a source", string(s))
		}
	}
	return nil
}

// CheckSources reports what is wrong with a list of sources that did not come in
// a message.
func CheckSources(field string, sources []Source) error { return checkSources(field, sources) }

// ModerateFor passes on what a participant of a node asks for, once the node has
// checked that it may.
type ModerateFor struct {
	Header
	Node       string `json:"node"`
	Generation int64  `json:"generation"`
	Room       string `json:"room"`
	// By is the key of whoever asked, ID its request.
	By          string   `json:"by"`
	ID          string   `json:"id"`
	Deed        Deed     `json:"deed"`
	Participant string   `json:"participant,omitempty"`
	Sources     []Source `json:"sources,omitempty"`
	Metadata    string   `json:"metadata,omitempty"`
}

// Validate implements [Message].
func (m ModerateFor) Validate() error {
	if err := m.check(ActionModerate); err != nil {
		return err
	}
	return firstOf(
		bounded("node", m.Node, 1, MaxID),
		positive("generation", m.Generation),
		bounded("room", m.Room, 1, MaxName),
		bounded("by", m.By, 1, MaxID),
		bounded("id", m.ID, 1, MaxID),
		checkDeed(m.Deed, m.Participant, m.Sources, m.Metadata),
	)
}

// Moderated answers [ModerateFor]. Without a fault it is done, or being done.
type Moderated struct {
	Header
	Generation int64  `json:"generation"`
	Room       string `json:"room"`
	By         string `json:"by"`
	ID         string `json:"id"`
	Moving     bool   `json:"moving,omitempty"`
	Fault      *Fault `json:"fault,omitempty"`
}

// Validate implements [Message].
func (m Moderated) Validate() error {
	if err := m.check(ActionModerated); err != nil {
		return err
	}
	if m.Fault != nil {
		if err := firstOf(bounded("fault.code", string(m.Fault.Code), 1, MaxID), text("fault.text", m.Fault.Text, MaxText)); err != nil {
			return err
		}
	}
	return firstOf(
		positive("generation", m.Generation),
		bounded("room", m.Room, 1, MaxName),
		bounded("by", m.By, 1, MaxID),
		bounded("id", m.ID, 1, MaxID),
	)
}

// Recast tells a node the role of a participant from now on, whose seat is of
// that role already. It is for the session of that revision.
type Recast struct {
	Header
	Generation int64  `json:"generation"`
	Room       string `json:"room"`
	Key        string `json:"key"`
	Revision   int64  `json:"revision"`
	Role       Role   `json:"role"`
}

// Validate implements [Message].
func (r Recast) Validate() error {
	if err := r.check(ActionRole); err != nil {
		return err
	}
	if r.Role != Publisher && r.Role != Viewer {
		return badField("role", "is %.32q, expected publisher or viewer", string(r.Role))
	}
	return firstOf(
		positive("generation", r.Generation),
		bounded("room", r.Room, 1, MaxName),
		bounded("key", r.Key, 1, MaxID),
		positive("revision", r.Revision),
	)
}

// MuteTracks tells a node to switch off sources of a participant.
type MuteTracks struct {
	Header
	Generation int64        `json:"generation"`
	Room       string       `json:"room"`
	Key        string       `json:"key"`
	Sources    List[Source] `json:"sources"`
}

// Validate implements [Message].
func (m MuteTracks) Validate() error {
	if err := m.check(ActionMute); err != nil {
		return err
	}
	return firstOf(
		positive("generation", m.Generation),
		bounded("room", m.Room, 1, MaxName),
		bounded("key", m.Key, 1, MaxID),
		checkSources("sources", m.Sources),
	)
}

// Muted tells the SDK that sources of its own were switched off by somebody else.
type Muted struct {
	Header
	Sources List[Source] `json:"sources"`
}

// Validate implements [Message].
func (m Muted) Validate() error {
	if err := m.check(ActionMute); err != nil {
		return err
	}
	return checkSources("sources", m.Sources)
}

// End tells a node to disconnect everybody of a room, with a code.
type End struct {
	Header
	Generation int64  `json:"generation"`
	Room       string `json:"room"`
	Code       Code   `json:"code"`
}

// Validate implements [Message].
func (e End) Validate() error {
	if err := e.check(ActionEnd); err != nil {
		return err
	}
	return firstOf(
		positive("generation", e.Generation),
		bounded("room", e.Room, 1, MaxName),
		bounded("code", string(e.Code), 1, MaxID),
	)
}
