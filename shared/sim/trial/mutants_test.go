package trial

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// patch replaces a text that occurs once in a file of shared.
type patch struct{ file, old, new string }

// mutant is a way to break the code, with patches that do it.
type mutant struct {
	name    string
	patches []patch
}

// mutants are ways to break the code under trial that the trials must notice.
// The conditions of the memory store count as code: they are those that the
// real store puts into its expressions.
var mutants = []mutant{
	{"a block takes more members than seats", []patch{{"sim/changes.go", "!sits && len(b.Members) < b.Seats)", "!sits)"}}},
	{"load is returned twice", []patch{
		{"control/grant.go", "changes = append(changes, ReturnLoad{id, v.Node.Generation, room.Load{}.Minus(load), now})",
			"r := ReturnLoad{id, v.Node.Generation, room.Load{}.Minus(load), now}; changes = append(changes, r, r)"}}},
	{"a room is written whatever its revision", []patch{{"sim/changes.go", "return s.section(c.Room.Name, c.Room.Section).Revision == c.If", "return true"}}},
	{"a lease never ends", []patch{{"fleet/fleet.go", "return now.Before(v.LeaseEnds())", "return true"}}},
	{"what is coming is not subtracted", []patch{{"control/launch.go", "s.Bins = append(s.Bins, set.forSeats(l.Capacity, l.Capacity))", "_ = l"}}},
	{"a part of an inventory passes for all of it", []patch{
		{"control/node.go", "if events.InventoryPart(string(key), inv.Parts) != inv.Part {", "if false {"}}},
	{"load of an earlier life is returned to the present one", []patch{
		{"control/grant.go", "if v := s.node(b.Node); v != nil && v.Node.Generation == b.Generation {", "if v := s.node(b.Node); v != nil {"},
		{"control/grant.go", "case v == nil || lives[id] != 0 && v.Node.Generation != lives[id]:", "case v == nil:"},
		{"control/rehome.go", "if v := s.view(from); v != nil && v.Node.Generation == life {\n\t\tloads", "if v := s.view(from); v != nil {\n\t\tloads"}}},
	{"launches are never given up", []patch{{"control/sweep.go", "case now.Sub(l.At) > fleet.LaunchTimeout:", "case false:"}}},
	{"a conflict is taken for success", []patch{{"step/step.go", "if errors.Is(err, ErrConflict) && c.Optional {", "if errors.Is(err, ErrConflict) {"}}},
	{"a node that lands does not take the place of its launch", []patch{{"control/node.go", "One(PutLaunch{landed, l.State}, PutNode{n, 0}", "One(PutNode{n, 0}"}}},
	{"who waits is served on a node that it avoids", []patch{{"control/line.go", "Avoid: w.Avoid, ", ""}}},
	{"nodes with people on them are ended", []patch{
		{"control/sweep.go", "case n.Empty() && n.State.Takes() && len(s.Blocks) == 0 &&", "case n.State.Takes() &&"},
		{"sim/changes.go", "n.State == c.From && (!c.IfEmpty || n.Empty())", "n.State == c.From"}}},
	{"load is taken that is not there", []patch{{"sim/changes.go", "return ok && n.State.Takes() && c.Load.Fits(n.Available)", "return ok && n.State.Takes()"}}},
	{"a blind sweep gives nodes up", []patch{
		{"control/sweep.go", "case !s.Blind && s.silent(now):", "case s.silent(now):"},
		{"control/sweep.go", "return silence > LostAfter && !stay || silence > CutOffAfter", "return silence > LostAfter"}}},
	{"a hello lands after its launch expired", []patch{{"sim/changes.go", "return s.launches[launchKey(c.Launch)].State == c.If", "return true"}}},
	{"a launch expires after its hello", []patch{{"sim/changes.go", "return ok && l.State == c.If", "return ok && l.ID != \"\""}}},
	{"left of an earlier session frees the seat of the present one", []patch{
		{"control/leave.go", "if p == nil || p.Revision != room.Revision(m.Revision) {", "if p == nil {"}}},
	{"a seat is freed whatever its revision", []patch{{"sim/changes.go", "return sits && rev == c.Revision", "return sits && rev > 0"}}},
	{"a seat is taken in a block of another generation", []patch{
		{"sim/changes.go", "return ok && b.Generation == c.Generation && !b.Sealed && (sits", "return ok && !b.Sealed && (sits"},
		{"room/room.go", "\n\t\tNextBlock: int(now.UnixMilli()),", ""}}},
	{"a second socket's hello begins a generation", []patch{{"control/node.go", "case s.Node.Boot == m.Boot:", "case false:"}}},
	{"a node that is given up is granted on", []patch{{"sim/changes.go", "return ok && n.State.Takes() && c.Load.Fits(n.Available)", "return ok && c.Load.Fits(n.Available)"}}},
	{"an inventory speaks of sessions that began after it", []patch{{"control/node.go", "inv.TakenMs > 0 && at.Before(now)", "false && at.Before(now)"}}},
	{"who is served elsewhere stays where it was", []patch{
		{"control/serve.go", "plan.Sends = append(plan.Sends, st.left...)", ""}}},
	{"a seat stays with a session that is over", []patch{
		{"control/node.go", "late := there && room.Revision(at) < rev && settled", "late := false"},
		{"control/node.go", "gone := !there || room.Revision(at) != rev", "gone := !there || room.Revision(at) > rev"}}},
	{"two nodes that died apart are never given up", []patch{{"control/sweep.go", ".Abs() <= lapsesTogether", ".Abs() >= 0"}}},
	{"two nodes that died together are never given up", []patch{{"control/sweep.go", "if now.Sub(of.LeaseEnds()) > doubtLasts {", "if false {"}}},
	{"blocks of a lost node stay", []patch{{"control/sweep.go", "if len(s.Blocks) == 0 {\n\t\td.Choice, d.Why = \"end the node\", \"lost", "if true {\n\t\td.Choice, d.Why = \"end the node\", \"lost"}}},
	{"promotion does not look at the stage's limit", []patch{{"control/crowd.go", "return min(r.SeatsLeft, r.StageLeft())", "return r.SeatsLeft"}}},
	{"the seat that somebody moves from is freed at once", []patch{{"control/seat.go", "|| p.Held.Revision == rev && p.Held.Block == b.Index {", "{"}}},
	{"a move that is over frees the new seat too", []patch{{"control/leave.go", "Commits: s.freeHeld(*p, now),", "Commits: append(s.freeHeld(*p, now), s.free(*p, now)...),"}}},
	{"a drained node is given more", []patch{{"fleet/fleet.go", "return s == Filling || s == Ready }", "return s == Filling || s == Ready || s == Draining }"}}},
	{"a drained node is ended with people on it", []patch{
		{"control/sweep.go", "case n.Empty() && n.State == fleet.Draining && len(s.Blocks) == 0:", "case n.State == fleet.Draining:"},
		{"sim/changes.go", "n.State == c.From && (!c.IfEmpty || n.Empty())", "n.State == c.From"}}},
	{"who has just come is moved for thrift", []patch{{"control/consolidate.go", "if now.Sub(revision.Time()) < SettlesIn {", "if _ = revision; false {"}}},
	{"a host's notice is ignored", []patch{{"step/node.go", "if m.EndsMs > 0 {", "if false {"}}},
	{"who is put out keeps its seat", []patch{{"control/moderate.go", "if b == nil || at.Revision == 0 {", "if true {"}}},
	{"who is put out may come back at once", []patch{{"control/join.go", "case now.Before(p.Barred):", "case false:"}}},
	{"a room that is ended goes on", []patch{{"control/moderate.go", "for _, v := range s.Nodes {\n\t\tplan.Sends = append(plan.Sends, Send{To: Sockets(v.Node, 0), Message: events.End",
		"for _, v := range s.Nodes[:0] {\n\t\tplan.Sends = append(plan.Sends, Send{To: Sockets(v.Node, 0), Message: events.End"}}},
	{"a node's token is not renewed", []patch{{"step/node.go", "w.Now().Before(c.RenewAt) {", "true {"}}},
	{"reservations are forgotten", []patch{{"control/prewarm.go", "if left > 0 {", "if false {"}}},
	{"an estimate stays what it was", []patch{{"control/join.go", "left := max(boot-now.Sub(l.At).Milliseconds(), 1000)", "left := max(boot, 1000)"}}},
	{"the last in line is served first", []patch{{"step/line.go", "slices.SortFunc(items.Waits, inLine)", "slices.SortFunc(items.Waits, func(a, b fleet.Wait) int { return inLine(b, a) })"},
		{"step/serve.go", "slices.SortStableFunc(waits, inLine)", "_ = waits"}}},
	{"a drain's deadline is ignored", []patch{{"fleet/fleet.go", "return n.State == Draining && !n.DrainBy.IsZero() && !now.Before(n.DrainBy)", "return false"}}},
	{"people are pressed before the deadline", []patch{{"fleet/fleet.go", "return n.State == Draining && !n.DrainBy.IsZero() && !now.Before(n.DrainBy)", "return n.State == Draining && !n.DrainBy.IsZero()"}}},
	{"a dead root stays", []patch{{"room/heal.go", "orphans[n.Feeder] = append(orphans[n.Feeder], i)\n\t\t\tn.Feeder = \"\"\n", "_ = f\n"}}},
	{"nodes whose feeder has died stay alone", []patch{{"room/heal.go", "t.replace(t.above(g, gone), orphans[g.Node])\n\t\t}\n\t}\n\tt.join()", "_ = g\n\t\t}\n\t}"}}},
	{"nodes are not told of their pipes", []patch{{"step/assign.go", "sends := control.Assign(r, items.Nodes, w.Spread())", "var sends []control.Send; _ = items"}}},
	{"a hello after a fence is welcome", []patch{{"control/node.go", "case !s.Node.State.Living():\n\t\treturn refuse(", "case false:\n\t\treturn refuse("}}},
	{"a transfer forgets the stage", []patch{{"control/transfer.go", "t.seats = min(t.seats, r.StageLeft())", "_ = t.seats"}}},
	{"instances that nobody knows run on", []patch{{"control/sweep.go", "if i.Gone || known(i.Node) ||", "if true || i.Gone || known(i.Node) ||"}}},
	{"a node is ended though somebody has come meanwhile", []patch{{"sim/changes.go", "n.State == c.From && (!c.IfEmpty || n.Empty())", "n.State == c.From"}}},
	{"sweeps do not look at who waits", []patch{{"step/fleet.go", "return errors.Join(failed, w.line(ctx))", "return failed"}}},
	{"the roles that a node lists are not compared", []patch{{"control/node.go", "if !inv.Roles {", "if true {"}}},
	{"nodes are emptied of nobody", []patch{{"control/consolidate.go", "if len(plan.Commits) == 0 {", "if true {"}}},
}

// TestPatchesApply fails where a patch of a mutant no longer finds its line, or
// finds it twice. It builds nothing, so that whoever changes a line hears of
// the patch at once.
func TestPatchesApply(t *testing.T) {
	shared, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	broken(t, shared)
}

// TestBrokenCodeIsCaught breaks the code in each way, plays the scenes, and runs
// seeds until one fails. It fails where none does, and where a patch no longer applies: then the
// patch, not the trial, wants mending.
func TestBrokenCodeIsCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("runs all scenes for each way to break the code")
	}
	bin := buildBroken(t)
	found := regexp.MustCompile(`(?m)^(scene ".*"|seed \d+)[,:] .* step \d+: (.*)$`)
	run := func(mutant int) (out bytes.Buffer, err error) {
		cmd := exec.Command(bin, "-scenes", "-seeds", fmt.Sprint(seeds), "-steps", "6000", "-quiet")
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", whichBroken, mutant), "GOMAXPROCS=1")
		return out, cmd.Run()
	}
	t.Run("a failure shows how to see it again, and how it came to it", func(t *testing.T) {
		t.Parallel()
		explains(t, bin, "a room is written whatever its revision")
	})
	for i, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			out, err := run(i + 1)
			if caught := found.FindStringSubmatch(out.String()); err != nil && caught != nil {
				t.Logf("caught by %s: %.200s", caught[1], caught[2])
				return
			}
			t.Errorf("not caught within %d seeds: %.500s", seeds, out.String())
		})
	}
}

// explains lets worlds run until one fails that runs on code that is broken in one
// way. It must print the command that runs it again, and the trace of a
// smaller world up to what is broken; and the command must do what it says.
func explains(t *testing.T, bin, name string) {
	t.Helper()
	mutant := slices.IndexFunc(mutants, func(m mutant) bool { return m.name == name }) + 1
	run := func(args ...string) string {
		cmd := exec.Command(bin, args...)
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", whichBroken, mutant), "GOMAXPROCS=1")
		out, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Fatalf("%v: %v, expected exit code 1: %.300s", args, err, out)
		}
		return string(out)
	}
	first := regexp.MustCompile(`(?m)^seed (\d+), (\d+) people, (\d+) faults: (.*)$`)
	out := run("-seeds", fmt.Sprint(seeds), "-steps", "6000", "-shrink", "40")
	what, replay := first.FindStringSubmatch(out), regexp.MustCompile(`(?m)^replay: make sim SEED=(\d+) STEPS=(\d+)$`).FindStringSubmatch(out)
	if what == nil || replay == nil || what[1] != replay[1] {
		t.Fatalf("no failure with its command: %.500s", out)
	}
	trace := regexp.MustCompile(`(?m)^ +\d+\.\d{3}s  .*$`).FindAllString(out, -1)
	needed := regexp.MustCompile(`(?m)^of (\d+) participants (\d+) were needed, of (\d+) faults (\d+): `).FindStringSubmatch(out)
	if needed == nil || len(trace) < 10 || !strings.Contains(trace[len(trace)-1], "BROKEN: ") {
		t.Fatalf("no trace up to what is broken: %.300s … %s", out, out[max(0, len(out)-300):])
	}
	if needed[1] == needed[2] && needed[3] == needed[4] {
		t.Errorf("nothing could be left out of the world: %s", needed[0])
	}
	t.Logf("%s; the trace of the smaller world has %d lines; %s", what[0], len(trace), needed[0])
	again := first.FindStringSubmatch(run("-seed", replay[1], "-steps", replay[2], "-shrink", "0"))
	if again == nil || again[4] != what[4] {
		t.Errorf("run again: %v, the first time: %s", again, what[4])
	}
}
