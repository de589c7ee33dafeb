package events

import "encoding/base64"

// ActionData carries what applications say to each other, both ways.
const ActionData Action = "data" // sdk→node, and node→sdk

// DataLabel and DataID name the channel for reliable [Data], ordered; LossyLabel
// and LossyID that for data which is sent once, in no order. The control channel
// does not take data.
const (
	DataLabel  = "data"
	DataID     = 2
	LossyLabel = "lossy"
	LossyID    = 3
)

// Bounds on data: the bytes of one message, its topic and receivers, and what one
// participant may send: so many messages and bytes a second for long, and for
// [DataBurst] seconds' worth at once.
const (
	MaxData       = 10 << 10
	MaxTopic      = 64
	MaxReceivers  = 100
	DataPerSecond = 30
	DataBytes     = 64 << 10
	DataBurst     = 2
)

// Data is a message of the application to others in the room.
type Data struct {
	Header
	// To are the identities it is for; none means everybody else.
	To    []string `json:"to,omitempty"`
	Topic string   `json:"topic,omitempty"`
	// Payload is in base64, with padding (RFC 4648, section 4).
	Payload string `json:"payload"`
}

// Validate implements [Message].
func (d Data) Validate() error {
	if err := d.check(ActionData); err != nil {
		return err
	}
	if len(d.To) > MaxReceivers {
		return badField("to", "has %d entries, at most %d are taken", len(d.To), MaxReceivers)
	}
	seen := map[string]bool{}
	for _, identity := range d.To {
		if seen[identity] {
			return badField("to", "lists %.128q twice", identity)
		}
		seen[identity] = true
		if err := bounded("to", identity, 1, MaxName); err != nil {
			return err
		}
	}
	return firstOf(bounded("topic", d.Topic, 0, MaxTopic), checkPayload(d.Payload))
}

// DataFrom is a message of somebody's application.
type DataFrom struct {
	Header
	From    string `json:"from"`
	Topic   string `json:"topic,omitempty"`
	Payload string `json:"payload"`
}

// Validate implements [Message].
func (d DataFrom) Validate() error {
	if err := d.check(ActionData); err != nil {
		return err
	}
	return firstOf(bounded("from", d.From, 1, MaxName), bounded("topic", d.Topic, 0, MaxTopic), checkPayload(d.Payload))
}

func checkPayload(payload string) error {
	raw, err := base64.StdEncoding.Strict().DecodeString(payload)
	if err != nil {
		return badField("payload", "is not base64")
	}
	if len(raw) > MaxData {
		return badField("payload", "has %d bytes, at most %d are taken", len(raw), MaxData)
	}
	return nil
}
