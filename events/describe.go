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

// ActionDescribeRoom tells of a room's metadata.
const ActionDescribeRoom Action = "describe_room" // gateway→node

// RoomMetadata is what a room's application says of the room, as of a revision; lower
// revisions are older.
type RoomMetadata struct {
	Text     string `json:"text"`
	Revision int64  `json:"revision"`
}

func (m RoomMetadata) validate(field string) error {
	return firstOf(text(field+".text", m.Text, MaxRoomMetadata), positive(field+".revision", m.Revision))
}

// RoomDescribed tells a node of a room that its metadata is another now.
type RoomDescribed struct {
	Header
	Generation int64        `json:"generation"`
	Room       string       `json:"room"`
	Metadata   RoomMetadata `json:"metadata"`
}

// Validate implements [Message].
func (d RoomDescribed) Validate() error {
	if err := d.check(ActionDescribeRoom); err != nil {
		return err
	}
	return firstOf(positive("generation", d.Generation), bounded("room", d.Room, 1, MaxName), d.Metadata.validate("metadata"))
}

// DescribeFor tells a node the metadata of a participant from now on, which somebody
// who may has given it.
type DescribeFor struct {
	Header
	Generation int64  `json:"generation"`
	Room       string `json:"room"`
	Key        string `json:"key"`
	Metadata   string `json:"metadata"`
}

// Validate implements [Message].
func (d DescribeFor) Validate() error {
	if err := d.check(ActionDescribe); err != nil {
		return err
	}
	return firstOf(positive("generation", d.Generation), bounded("room", d.Room, 1, MaxName), bounded("key", d.Key, 1, MaxID),
		text("metadata", d.Metadata, MaxMetadata))
}
