package events

// ActionMetrics carries what a node has measured.
const ActionMetrics Action = "metrics" // node→gateway

// Bounds on one [Metrics]: the rooms that it tells of, and the participants of one
// room whose figures it has. With them, and names of usual characters, it fits
// [MaxFrame]; a node takes more messages when one comes out too large, and at most
// MaxMetricsParts.
const (
	MaxMetricsRooms  = 100
	MaxMetricsValues = 100
	MaxMetricsParts  = 8
)

// Metrics is what a node has measured in the last minute: of itself, in the first
// part, and of its rooms. It is written to the log of the function that takes it,
// from which CloudWatch reads it, and changes nothing.
type Metrics struct {
	Header
	Node       string `json:"node"`
	Generation int64  `json:"generation"`
	// TakenMs is when it was measured, in Unix milliseconds of the node's own clock.
	TakenMs int64 `json:"takenMs"`
	// Figures are the node's own; null in all parts but the first.
	Figures *NodeFigures `json:"figures,omitempty"`
	// Rooms are those with most people first.
	Rooms List[RoomFigures] `json:"rooms"`
}

// NodeFigures is what a node carries, and what it has counted since it last told.
type NodeFigures struct {
	People int `json:"people"`
	Rooms  int `json:"rooms"`
	// RoomsUntold is how many rooms there were no room for.
	RoomsUntold int `json:"roomsUntold,omitempty"`
	// OverTCP is how many people are reached over TCP, because their networks let no
	// UDP through.
	OverTCP      int   `json:"overTcp"`
	Screens      int   `json:"screens"`
	SendKbps     int64 `json:"sendKbps"`    // to participants and other nodes
	SendPPS      int64 `json:"sendPps"`     // packets a second of those
	ReceiveKbps  int64 `json:"receiveKbps"` // from participants
	CPUPercent   int   `json:"cpuPercent"`
	LossPermille int   `json:"lossPermille"` // of what receivers have reported on
	Nacks        int64 `json:"nacks"`        // negative acknowledgements from receivers
	Repeated     int64 `json:"repeated"`     // packets sent again
	KeysAsked    int64 `json:"keysAsked"`    // picture loss indications from receivers
	KeysSent     int64 `json:"keysSent"`     // picture loss indications to publishers
	Dropped      int64 `json:"dropped"`      // packets not forwarded, whatever the cause
	BadMessages  int64 `json:"badMessages"`  // messages on data channels that were refused
}

// RoomFigures is what a node carries of one room, and how its participants' browsers
// fare. Lists have one number for each participant who has told of late, or for
// [MaxMetricsValues] of them, evenly spread, where there are more; they are sorted,
// so that nobody's figures can be told from them.
type RoomFigures struct {
	Room       string `json:"room"`
	People     int    `json:"people"`
	Publishers int    `json:"publishers"`
	OverTCP    int    `json:"overTcp"`
	SendKbps   int64  `json:"sendKbps"` // to its participants

	RTTMs               List[int64] `json:"rttMs"`
	JitterMs            List[int64] `json:"jitterMs"`
	SendLossPermille    List[int64] `json:"sendLossPermille"`
	ReceiveLossPermille List[int64] `json:"receiveLossPermille"`
	ClientSendKbps      List[int64] `json:"clientSendKbps"`
	ClientReceiveKbps   List[int64] `json:"clientReceiveKbps"`

	Freezes            int64 `json:"freezes"`
	LimitedByCPU       int   `json:"limitedByCpu"` // participants
	LimitedByBandwidth int   `json:"limitedByBandwidth"`
}

// Validate implements [Message].
func (m Metrics) Validate() error {
	if err := m.check(ActionMetrics); err != nil {
		return err
	}
	if len(m.Rooms) > MaxMetricsRooms {
		return badField("rooms", "has %d entries, at most %d are taken", len(m.Rooms), MaxMetricsRooms)
	}
	if m.Figures != nil {
		if err := m.Figures.validate(); err != nil {
			return err
		}
	}
	for _, r := range m.Rooms {
		if err := r.validate(); err != nil {
			return err
		}
	}
	return firstOf(
		bounded("node", m.Node, 1, MaxID),
		inRange("generation", m.Generation, 0, maxSafe),
		positive("takenMs", m.TakenMs),
	)
}

const maxPeople = 1_000_000

func (f NodeFigures) validate() error {
	return firstOf(
		inRange("figures.people", int64(f.People), 0, maxPeople),
		inRange("figures.rooms", int64(f.Rooms), 0, maxPeople),
		inRange("figures.roomsUntold", int64(f.RoomsUntold), 0, maxPeople),
		inRange("figures.overTcp", int64(f.OverTCP), 0, maxPeople),
		inRange("figures.screens", int64(f.Screens), 0, maxPeople),
		inRange("figures.cpuPercent", int64(f.CPUPercent), 0, 100),
		inRange("figures.lossPermille", int64(f.LossPermille), 0, 1000),
		natural("figures.sendKbps", f.SendKbps), natural("figures.sendPps", f.SendPPS),
		natural("figures.receiveKbps", f.ReceiveKbps), natural("figures.nacks", f.Nacks),
		natural("figures.repeated", f.Repeated), natural("figures.keysAsked", f.KeysAsked),
		natural("figures.keysSent", f.KeysSent), natural("figures.dropped", f.Dropped),
		natural("figures.badMessages", f.BadMessages),
	)
}

func (r RoomFigures) validate() error {
	for _, l := range []struct {
		field  string
		values List[int64]
		most   int64
	}{
		{"rooms.rttMs", r.RTTMs, 600_000}, {"rooms.jitterMs", r.JitterMs, 600_000},
		{"rooms.sendLossPermille", r.SendLossPermille, 1000}, {"rooms.receiveLossPermille", r.ReceiveLossPermille, 1000},
		{"rooms.clientSendKbps", r.ClientSendKbps, maxSafe}, {"rooms.clientReceiveKbps", r.ClientReceiveKbps, maxSafe},
	} {
		if len(l.values) > MaxMetricsValues {
			return badField(l.field, "has %d entries, at most %d are taken", len(l.values), MaxMetricsValues)
		}
		for _, v := range l.values {
			if err := inRange(l.field, v, 0, l.most); err != nil {
				return err
			}
		}
	}
	return firstOf(
		bounded("rooms.room", r.Room, 1, MaxName),
		inRange("rooms.people", int64(r.People), 0, maxPeople),
		inRange("rooms.publishers", int64(r.Publishers), 0, maxPeople),
		inRange("rooms.overTcp", int64(r.OverTCP), 0, maxPeople),
		inRange("rooms.limitedByCpu", int64(r.LimitedByCPU), 0, maxPeople),
		inRange("rooms.limitedByBandwidth", int64(r.LimitedByBandwidth), 0, maxPeople),
		natural("rooms.sendKbps", r.SendKbps), natural("rooms.freezes", r.Freezes),
	)
}

func natural(field string, v int64) error { return inRange(field, v, 0, maxSafe) }
