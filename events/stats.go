package events

// ActionStats tells the node how the participant's browser fares.
const ActionStats Action = "stats" // sdk→node

// StatsEveryMs is how often a [Stats] is to be sent, and StatsLeastMs the time after
// one before which the next is refused, in milliseconds.
const (
	StatsEveryMs = 10_000
	StatsLeastMs = 4_000
)

// LimitedBy is what keeps the pictures that a participant sends from being better.
type LimitedBy string

// The causes; other is what only the browser knows.
const (
	LimitedByNothing   LimitedBy = "none"
	LimitedByCPU       LimitedBy = "cpu"
	LimitedByBandwidth LimitedBy = "bandwidth"
	LimitedByOther     LimitedBy = "other"
)

// Stats is how a participant's connection does, as its browser sees it, since the
// last one.
type Stats struct {
	Header
	SendKbps    int64 `json:"sendKbps"`
	ReceiveKbps int64 `json:"receiveKbps"`
	// SendLossPermille and ReceiveLossPermille are the shares of packets lost on the
	// way to the node and from it, in thousandths.
	SendLossPermille    int `json:"sendLossPermille"`
	ReceiveLossPermille int `json:"receiveLossPermille"`
	// RTTMs is to the node and back; 0 is unknown.
	RTTMs int `json:"rttMs"`
	// JitterMs is the worst of the streams received (RFC 3550, section 6.4.1).
	JitterMs int `json:"jitterMs"`
	// Freezes is how often received pictures stood still.
	Freezes   int       `json:"freezes"`
	LimitedBy LimitedBy `json:"limitedBy"`
}

// Validate implements [Message].
func (s Stats) Validate() error {
	if err := s.check(ActionStats); err != nil {
		return err
	}
	switch s.LimitedBy {
	case LimitedByNothing, LimitedByCPU, LimitedByBandwidth, LimitedByOther:
	default:
		return badField("limitedBy", "is %.32q, expected none, cpu, bandwidth or other", string(s.LimitedBy))
	}
	return firstOf(
		inRange("sendKbps", s.SendKbps, 0, 10_000_000),
		inRange("receiveKbps", s.ReceiveKbps, 0, 10_000_000),
		inRange("sendLossPermille", int64(s.SendLossPermille), 0, 1000),
		inRange("receiveLossPermille", int64(s.ReceiveLossPermille), 0, 1000),
		inRange("rttMs", int64(s.RTTMs), 0, 600_000),
		inRange("jitterMs", int64(s.JitterMs), 0, 600_000),
		inRange("freezes", int64(s.Freezes), 0, 1_000_000),
	)
}
