package events

// Move asks the SDK to join again, naming this session in [Join].From, and to
// keep this connection until it stands on its new home.
type Move struct {
	Header
	// ReceiveKbps is what the network was last found to carry towards the
	// participant, for the new home to begin with; 0 is unknown.
	ReceiveKbps int64 `json:"receiveKbps,omitempty"`
}

// Validate implements [Message].
func (m Move) Validate() error {
	if err := m.check(ActionMove); err != nil {
		return err
	}
	return inRange("receiveKbps", m.ReceiveKbps, 0, maxSafe)
}

// Closing says that the node ends this connection, and why. After replaced,
// removed and room_ended the SDK does not come back by itself; after node_gone
// it joins again.
type Closing struct {
	Header
	Code Code   `json:"code"`
	Text string `json:"text,omitempty"`
}

// Validate implements [Message].
func (c Closing) Validate() error {
	if err := c.check(ActionClosing); err != nil {
		return err
	}
	return firstOf(bounded("code", string(c.Code), 1, MaxID), text("text", c.Text, MaxText))
}
