package trial

import (
	"fmt"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// machine is an instance, from its launch to its end.
type machine struct {
	id       string
	node     room.NodeID
	launched int64
	ended    int64 // 0 while it runs
	noticed  int64 // when it was told that it will be taken away, 0 if it was not
	process  *node
	// unlisted: EC2 has forgotten it.
	unlisted bool
}

// cloud is EC2: a launch and attempt asked for twice is one launch, lists lag
// behind, and there may be nothing to have.
type cloud struct {
	t        *trial
	machines []*machine
	tokens   map[string]*machine
	drought  bool
	// boots is how long an instance takes to boot, where a scene says so.
	boots time.Duration
	// spent is the bill as it grows: living instances times time.
	spent  time.Duration
	billed int64
}

// tick brings the bill up to now.
func (e *cloud) tick() {
	for _, m := range e.machines {
		if m.ended == 0 {
			e.spent += time.Duration(e.t.clock.now - max(e.billed, m.launched))
		}
	}
	e.billed = e.t.clock.now
}

// bill adds up what each instance has cost.
func (e *cloud) bill() time.Duration {
	var sum time.Duration
	for _, m := range e.machines {
		end := m.ended
		if end == 0 {
			end = e.t.clock.now
		}
		sum += time.Duration(end - m.launched)
	}
	return sum
}

func (e *cloud) launch(c *call, l fleet.Launch) control.LaunchOutcome {
	token := fmt.Sprintf("%s-%d", l.ID, l.Attempt)
	if m := e.tokens[token]; m != nil {
		return control.LaunchOutcome{Instance: m.id}
	}
	if e.drought || c.hit(e.t.weather.refused, "no capacity", "launch") {
		return control.LaunchOutcome{Refusal: fleet.PoolEmpty, Code: "InsufficientInstanceCapacity"}
	}
	if c.hit(e.t.weather.ec2Unsure, "throttled", "launch") {
		return control.LaunchOutcome{}
	}
	e.tick()
	m := &machine{id: "i-" + token, node: l.ID, launched: e.t.clock.now}
	e.machines = append(e.machines, m)
	e.tokens[token] = m
	e.t.note("EC2 launches %s", m.id)
	if !e.t.fault(e.t.weather.neverBoots, "never boots", token) {
		boot := e.t.delay(name(token), 8*time.Second, 45*time.Second)
		if e.boots > 0 {
			boot = e.boots
		}
		e.t.after(boot, func() { e.boot(m) })
	}
	if c.hit(e.t.weather.ec2Unsure, "made, answer lost", "launch") {
		return control.LaunchOutcome{}
	}
	return control.LaunchOutcome{Instance: m.id}
}

// boot starts the node's process, with a boot id of its own each time.
func (e *cloud) boot(m *machine) {
	if m.ended == 0 {
		m.process = newNode(e.t, m)
		m.process.start()
	}
}

func (e *cloud) terminate(x control.Termination) {
	for _, m := range e.machines {
		if m.ended == 0 && (m.id == x.Instance || x.Node != "" && m.node == x.Node) {
			e.t.watch.terminated(m, x)
			e.t.note("EC2 ends %s: %s", m.id, x.Why)
			e.end(m)
		}
	}
}

// end takes the machine away.
func (e *cloud) end(m *machine) {
	if m.ended != 0 {
		return
	}
	e.tick()
	m.ended = e.t.clock.now
	if m.process != nil {
		m.process.die()
	}
}

// list is what EC2 says: what was so a while ago.
func (e *cloud) list() []control.Instance {
	lag := int64(e.t.weather.ec2Lag)
	if e.t.calm {
		lag = 0
	}
	var out []control.Instance
	for _, m := range e.machines {
		then := e.t.clock.now - lag
		if m.unlisted || m.launched > then || m.ended != 0 && m.ended < then-int64(time.Hour) {
			continue
		}
		out = append(out, control.Instance{ID: m.id, Node: m.node, Gone: m.ended != 0 && m.ended <= then, LaunchedAt: epoch.Add(time.Duration(m.launched))})
	}
	return out
}

func (e *cloud) living() int {
	n := 0
	for _, m := range e.machines {
		if m.ended == 0 {
			n++
		}
	}
	return n
}
