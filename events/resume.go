package events

// Actions that keep a way back into a room open.
const (
	ActionRenew  Action = "renew"  // client→gateway
	ActionResume Action = "resume" // gateway→client
)

// Renew asks for another resume ticket for a session that has its seat, because
// the one that came with the answer nears its end. The socket may be a new one:
// nothing else of the session goes over it.
type Renew struct {
	Header
	ID      string `json:"id"`
	Session string `json:"session"`
}

// Validate implements [Message].
func (r Renew) Validate() error {
	if err := r.check(ActionRenew); err != nil {
		return err
	}
	return firstOf(bounded("id", r.ID, 1, MaxID), bounded("session", r.Session, 8, MaxID))
}

// Resume answers [Renew] with a ticket in place of the one before.
type Resume struct {
	Header
	ID      string `json:"id"`
	Session string `json:"session"`
	// Resume is as [Answer.Resume].
	Resume string `json:"resume"`
}

// Validate implements [Message].
func (r Resume) Validate() error {
	if err := r.check(ActionResume); err != nil {
		return err
	}
	return firstOf(bounded("id", r.ID, 1, MaxID), bounded("session", r.Session, 8, MaxID), bounded("resume", r.Resume, 1, MaxTicket))
}
