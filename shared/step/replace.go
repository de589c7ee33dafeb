package step

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
)

// replace drains a node of an earlier version, or launches one for its people. When
// the last one was, and how many people it had, is read off the decisions that are
// kept. It reports whether it has done anything.
func (w *World) replace(ctx context.Context, demand Items, nodes []fleet.View) (bool, error) {
	r := control.Replacing{Emptying: control.Emptying{Nodes: nodes, Launches: demand.Launches}}
	if !r.Due(w.Now(), w.Settings) {
		return false, nil
	}
	waiting, err := w.Store.Find(ctx, Waiting{w.Settings.Region})
	records, failed := w.Store.Find(ctx, Records{w.Settings.Region, recordsRead})
	if err := errors.Join(err, failed); err != nil {
		return false, err
	}
	r.Waits = len(waiting.Waits)
	for _, record := range records.Records {
		var in struct{ People int }
		if record.Choice != control.ChoiceReplace || !record.At.After(r.Last) {
			continue
		}
		if err := json.Unmarshal([]byte(record.Inputs), &in); err != nil {
			return false, err
		}
		r.Last, r.Moved = record.At, in.People
	}
	if !r.Due(w.Now(), w.Settings) {
		return false, nil
	}
	if err := w.contents(ctx, r.Olds(w.Now(), w.Settings), &r.Emptying); err != nil {
		return false, err
	}
	plan := control.Replace(r, w.Now(), w.Settings)
	if len(plan.Commits) == 0 {
		plan = control.Relieve(r, control.Pressure{Demand: demand.Demand, Boots: demand.Boots, Launches: demand.Launches, Nodes: nodes}, w.Now(), w.Settings)
	}
	return len(plan.Commits) > 0, w.once(ctx, "replace", plan)
}
