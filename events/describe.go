package events

// ActionDescribe changes one's own metadata.
const ActionDescribe Action = "describe" // sdk→node

// Describe is the participant's metadata as it is now, in place of what the token said.
// It takes a token with canUpdateOwnMetadata.
type Describe struct {
	Header
	Revision int64  `json:"revision"`
	Metadata string `json:"metadata"`
}

// Validate implements [Message].
func (d Describe) Validate() error {
	if err := d.check(ActionDescribe); err != nil {
		return err
	}
	return firstOf(positive("revision", d.Revision), text("metadata", d.Metadata, MaxMetadata))
}
