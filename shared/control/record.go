package control

import "time"

// Record is a decision about the fleet as operators read it later.
type Record struct {
	Region string
	// ID orders the records of a region by time; it is unique.
	ID     string
	At     time.Time
	Step   string
	Choice string
	Why    string
	// Inputs is what the decision was made from, in JSON.
	Inputs string
}

// RecordLasts is how long a record is kept.
const RecordLasts = 24 * time.Hour

// PutRecord keeps a record. It is conditioned on nothing, because a record
// justifies nothing; what it tells of has happened.
type PutRecord struct{ Record Record }

func (PutRecord) change() {}

// Notable reports whether operators want to read of a plan later: when it
// starts, ends or changes a node, or turns people away for lack of nodes. The
// decisions about single participants are in the log only, because a row for
// each would double what a join costs.
func (p Plan) Notable() bool {
	if len(p.Launches) > 0 || len(p.Terminations) > 0 || p.Decision.Choice == "refuse" {
		return true
	}
	for _, c := range p.Commits {
		for _, change := range c.Changes {
			switch change.(type) {
			case PutNode, SetState, Hasten, DeleteNode, PutLaunch:
				return true
			case DeleteLaunch:
				return p.Decision.Choice != "" // one that landed is forgotten without a word
			}
		}
	}
	return false
}
