package step

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spillway-sfu/spillway/shared/control"
)

// keep stores a notable decision for operators. It is safe to lose: the same
// line is in the log.
func (w *World) keep(ctx context.Context, name string, plan control.Plan) {
	d := plan.Decision
	if d.Choice == "" || !plan.Notable() {
		return
	}
	inputs, err := json.Marshal(d.Inputs)
	if err != nil {
		w.Log.Error("keep decision", "step", name, "error", err)
		return
	}
	now := w.Now()
	record := control.Record{Region: w.Settings.Region, ID: fmt.Sprintf("%013d-%016x", now.UnixMilli(), w.Spread()), At: now,
		Step: name, Choice: d.Choice, Why: d.Why, Inputs: string(inputs)}
	if err := w.Store.Commit(ctx, []control.Change{control.PutRecord{Record: record}}); err != nil {
		w.Log.Warn("keep decision", "step", name, "error", err)
	}
}
