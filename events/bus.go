package events

// Actions on the event bus and of the timer.
const (
	ActionSweep    Action = "sweep"    // timer→fleet
	ActionCapacity Action = "capacity" // participant, node→fleet
)

// Source of events on the event bus, and the detail types of those that the
// fleet function takes.
const (
	BusSource         = "spillway"
	DetailCapacity    = "CapacityRequested"
	DetailSpotNotice  = "EC2 Spot Instance Interruption Warning"
	DetailRebalance   = "EC2 Instance Rebalance Recommendation"
	BusSourceHealth   = "aws.health"
	DetailEC2State    = "EC2 Instance State-change Notification"
	BusSourceEC2      = "aws.ec2"
	MaxBusReasonBytes = 256
)

// Sweep is the timer's question: is there anything to put right?
type Sweep struct{ Header }

// Validate implements [Message].
func (s Sweep) Validate() error { return s.check(ActionSweep) }

// CapacityRequested says that somebody waits or that a node has become able to
// serve. It carries no amount: the fleet function sums what waits itself.
type CapacityRequested struct {
	Header
	Region string `json:"region"`
	// Reason is for the log.
	Reason string `json:"reason,omitempty"`
}

// Validate implements [Message].
func (c CapacityRequested) Validate() error {
	if err := c.check(ActionCapacity); err != nil {
		return err
	}
	return firstOf(bounded("region", c.Region, 1, MaxID), text("reason", c.Reason, MaxBusReasonBytes))
}
