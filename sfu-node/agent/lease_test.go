package agent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

func TestLease(t *testing.T) {
	t0 := time.Unix(1000, 0)
	after := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	var l lease
	refusal := func(at time.Time) events.Code {
		if e := l.refuse(at); e != nil {
			return e.Code
		}
		return ""
	}
	if got := refusal(t0); got != events.CodeNodeUnreachable {
		t.Errorf("before a welcome: %q", got)
	}
	w := events.Welcome{Generation: 2, HeartbeatMs: 3000, LeaseMs: 9000}
	if first, ok := l.welcome(w, t0); !first || !ok {
		t.Errorf("first welcome: first %v, ok %v", first, ok)
	}
	if first, ok := l.welcome(w, after(1)); first || !ok {
		t.Errorf("second slot's welcome: first %v, ok %v", first, ok)
	}
	if _, ok := l.welcome(events.Welcome{Generation: 1, HeartbeatMs: 3000, LeaseMs: 9000}, after(1)); ok {
		t.Error("welcome of a past generation is taken")
	}
	if refusal(after(9)) != "" || refusal(after(10)) != events.CodeNodeUnreachable {
		t.Error("the lease does not last from hello to 9 s after it")
	}
	one, two := l.next(after(3)), l.next(after(6))
	if one != 1 || two != 2 {
		t.Errorf("heartbeats are numbered %d, %d", one, two)
	}
	if !l.renewed(events.Renewed{Generation: 2, Seq: two, LeaseMs: 9000}) {
		t.Error("an answer is not taken")
	}
	if l.renewed(events.Renewed{Generation: 2, Seq: two, LeaseMs: 90000}) {
		t.Error("an answer is taken twice")
	}
	if l.renewed(events.Renewed{Generation: 1, Seq: one, LeaseMs: 90000}) {
		t.Error("an answer to another generation is taken")
	}
	if !l.renewed(events.Renewed{Generation: 2, Seq: one, LeaseMs: 9000}) {
		t.Error("a late answer is not taken")
	}
	if refusal(after(14)) != "" || refusal(after(15)) != events.CodeNodeUnreachable {
		t.Error("the lease does not run from when the newest answered heartbeat was sent")
	}
	three := l.next(after(12))
	l.renewed(events.Renewed{Generation: 2, Seq: three, LeaseMs: 9000, Draining: true})
	if got := refusal(after(13)); got != events.CodeNodeGone {
		t.Errorf("draining: %q", got)
	}
}

func TestInventory(t *testing.T) {
	now := time.Unix(5000, 0)
	room := func(n, keyBytes int) map[string]int64 {
		m := map[string]int64{}
		for i := range n {
			m[fmt.Sprintf("%0*d", keyBytes, i)] = 1<<53 - 1
		}
		return m
	}
	epochs := map[string]int64{"a": 4, "passing through": 7}
	for _, c := range []struct {
		name    string
		members map[string]map[string]int64
	}{
		{"nobody", nil},
		{"one", map[string]map[string]int64{"a": room(1, 8)}},
		{"many small rooms", func() map[string]map[string]int64 {
			m := map[string]map[string]int64{}
			for i := range 400 {
				m[fmt.Sprintf("%s%d", strings.Repeat("\"", 100), i)] = map[string]int64{fmt.Sprint("x", i): 1, fmt.Sprint("y", i): 2}
			}
			return m
		}()},
		{"three that fill more than one", map[string]map[string]int64{"a": room(300, 22), "b": room(300, 22), "c": room(300, 22)}},
		{"a large one", map[string]map[string]int64{"a": room(2000, events.MaxID), "b": room(2, 8)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stage, onStage := map[string][]string{}, 0
			for name, members := range c.members {
				for key := range members {
					if key[len(key)-1]%3 > 0 {
						stage[name] = append(stage[name], key)
					}
				}
			}
			parts := inventory(sfu.Report{Members: c.members, Epochs: epochs, Stage: stage}, now)
			seen := map[string]map[string]int64{}
			for i, p := range parts {
				h := events.Heartbeat{Header: events.Head(events.ActionHeartbeat), Node: strings.Repeat("n", events.MaxID), Generation: 1 << 52, Seq: 1 << 52, Inventory: &p}
				raw, err := json.Marshal(h)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := events.Decode(events.FromNode, raw); err != nil {
					t.Errorf("part %d of %d bytes: %v", i, len(raw), err)
				}
				if p.Part != i || p.Parts != len(parts) || p.TakenMs != now.UnixMilli() {
					t.Errorf("part %d says %d of %d, taken %d", i, p.Part, p.Parts, p.TakenMs)
				}
				for _, r := range p.Rooms {
					if seen[r.Room] == nil {
						seen[r.Room] = map[string]int64{}
					}
					onStage += len(r.Stage)
					for _, key := range r.Stage {
						if !p.Roles || !slices.Contains(stage[r.Room], key) {
							t.Errorf("%s is listed as on stage", key)
						}
					}
					for k, v := range r.Members {
						seen[r.Room][k] = v
					}
					if r.Epoch != epochs[r.Room] {
						t.Errorf("room %.8s has epoch %d", r.Room, r.Epoch)
					}
				}
			}
			if _, listed := seen["passing through"]; !listed {
				t.Error("a room without people that has an assignment is not listed")
			}
			for _, keys := range stage {
				onStage -= len(keys)
			}
			if onStage != 0 {
				t.Errorf("%d too many are listed as on stage", onStage)
			}
			for name, want := range c.members {
				if len(seen[name]) != len(want) {
					t.Errorf("room %.8s lists %d of %d", name, len(seen[name]), len(want))
				}
			}
		})
	}
}

func TestMeter(t *testing.T) {
	t0 := time.Now()
	m := meter{at: t0, cpu: cpuTime()}
	load, cpu := m.measure(t0.Add(2*time.Second), sfu.Report{PacketsOut: 3000, BytesOut: 500_000})
	if load.PPS != 1500 || load.Kbps != 2000 || cpu < 0 || cpu > 100 {
		t.Errorf("load %+v, cpu %d", load, cpu)
	}
	load, _ = m.measure(t0.Add(4*time.Second), sfu.Report{PacketsOut: 3000, BytesOut: 500_000})
	if load.PPS != 0 || load.Kbps != 0 {
		t.Errorf("load without traffic %+v", load)
	}
}

func TestAnUnansweredHeartbeatIsSoonRepeated(t *testing.T) {
	t0 := time.Unix(1000, 0)
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	var l lease
	l.welcome(events.Welcome{Generation: 1, HeartbeatMs: 3000, LeaseMs: 9000}, t0)
	due := func(ms int, want bool) {
		t.Helper()
		if l.due(at(ms)) != want {
			t.Errorf("after %d ms: due is %v", ms, !want)
		}
	}
	due(0, true) // the first
	seq := l.next(at(0))
	due(999, false)
	due(1000, true) // no answer
	l.renewed(events.Renewed{Generation: 1, Seq: seq, LeaseMs: 9000})
	due(1000, false) // answered after all
	due(2999, false)
	due(3000, true)
	for i := range hurried {
		l.next(at(3000 + i*1000))
	}
	due(3000+hurried*1000, true) // the last of the hurried ones
	l.next(at(3000 + hurried*1000))
	due(3000+(hurried+1)*1000, false) // from now on at leisure
	due(6000+hurried*1000, true)
}
