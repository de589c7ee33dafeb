package sim_test

import (
	"testing"

	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
	"github.com/spillway-sfu/spillway/shared/step/steptest"
)

func TestStore(t *testing.T) {
	steptest.Run(t, func(*testing.T) step.Store { return sim.NewStore() })
}
