// Package spillway_test holds the project to its own rules: who may import whom,
// what is pure, what a reader may expect of every package and file. It has no
// package of its own to test.
package spillway_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/spillway-sfu/spillway"

// arrows says, for each package, which others of ours it may import. A rule for
// a folder ("infra/local/...") holds for all packages in it, and the first rule
// that fits a package is its rule.
var arrows = []struct {
	pkg string
	may string
	why string
}{
	{"events", "", "the contract depends on nothing, so that everything can depend on it"},
	{"events/goldentest", "", "goldens are text, and whose messages they are is for the tests to know"},
	{"events/gen", "events", "it writes the contract in another language"},
	{"shared/room", "", "the words and the arithmetic that all decisions share"},
	{"shared/fleet", "shared/room shared/price", "a node is made of seats of rooms, and knows of no messages"},
	{"shared/price", "shared/room", "a table: what AWS charges, and what its machines carry"},
	{"shared/placement", "shared/room shared/fleet shared/price", "where a seat goes is a question about rooms and nodes alone"},
	{"shared/control", "events shared/room shared/fleet shared/placement shared/price", "a decision reads a snapshot and an event; it knows no store and no cloud"},
	{"shared/step", "events shared/control shared/room shared/fleet shared/placement shared/price", "the loop declares what it needs of a store; it does not know which one it gets"},
	{"shared/step/steptest", "events shared/step shared/control shared/room shared/fleet shared/placement shared/price", "one contract for every store, so it may know none of them"},
	{"shared/cloud", "events shared/step shared/control shared/room shared/fleet shared/placement shared/price", "the one place that speaks to AWS: it implements what step declares"},
	{"shared/token", "", "who may come in is decided before anything else is known"},
	{"shared/sim", "events shared/step shared/control shared/room shared/fleet shared/placement shared/price", "a world for step without AWS in it"},
	{"shared/emf", "events", "what CloudWatch reads of a node's message follows from the message and its time"},
	{"infra/why", "shared/placement", "a logged decision is explained by the code that made it"},
	{"infra/plan", "shared/room shared/fleet shared/placement shared/price", "a plan is made by what places seats and joins nodes, at the same prices"},
	{"shared/sim/trial", "events shared/sim shared/step shared/control shared/room shared/fleet shared/placement", "people, nodes and faults around the real loop, by the contract"},
	{"shared/sim/trial/replay", "shared/sim/trial", "a command that runs trials"},
	{"functions/wire", "events shared/...", "what the five mains share: configuration, caller, error replies"},
	{"functions/...", "events shared/... functions/wire", "a main only wires; one function does not know another"},
	{"sfu-node/seal", "", "sealing packets knows keys and bytes, and is shared by participants and pipes"},
	{"sfu-node/burst", "", "writing datagrams knows a socket, and not what is in them"},
	{"sfu-node/framed", "", "datagrams on a connection are bytes, and not what is in them"},
	{"sfu-node/pipe", "events sfu-node/seal sfu-node/burst sfu-node/layer", "a pipe carries what rooms say and send, in headers as participants get them; it knows no room"},
	{"sfu-node/layer", "", "packet arithmetic, tested without a packet's world"},
	{"sfu-node/bandwidth", "", "what a way carries follows from what was sent, what came back, and time"},
	{"sfu-node/speaker", "", "who speaks follows from audio levels and time alone"},
	{"sfu-node/...", "events sfu-node/...", "a node knows the control plane by its messages only"},
	{"infra/settings", "shared/price", "what may be chosen is checked before anything is built on it"},
	{"infra/cli", "shared/price shared/placement shared/token", "an operator's tool sees a deployment from outside, by its HTTP API"},
	{"infra/secrets", "shared/cloud", "secrets are made where they are read"},
	{"infra", "events shared/cloud shared/emf infra/settings", "the deployment is made of the names and shapes that the code uses, and of no others"},
	{"infra/local/...", "events shared/token shared/cloud infra/local/...", "stand-ins for AWS must not share code with what is tested on them, except names of settings and what mints tokens"},
	{"bench/units", "events shared/...", "what an operation costs is counted on the decisions themselves"},
	{"bench/figures", "shared/sim/trial", "what the simulation shows is told by itself"},
	{"bench/fleet", "events shared/...", "how tightly a fleet is packed is measured on the decisions themselves, in simulated time"},
	{"bench/audience", "bench events shared/room shared/token infra/local/harness sfu-node/lightpeer", "a crowd is measured from outside; how large nodes must be for it is the rooms' own arithmetic"},
	{"bench/plain", "events", "what Spillway is compared with shares nothing with it but the contract"},
	{"bench/others", "shared/token events sfu-node/lightpeer", "SFUs of others are joined with the stack of our own peers, and their tokens are LiveKit's as ours are"},
	{"bench/network", "events sfu-node/... bench/plain bench/others", "how media crosses a bad network is measured around the media part alone"},
	{"bench/...", "bench bench/plain bench/others events shared/token infra/local/harness sfu-node/lightpeer", "a measurement is made from outside, by the contract"},
}

// banned says what a program must not link, however indirectly.
var banned = []struct {
	from string
	what string
	why  string
}{
	{"functions/...", "github.com/pion/", "a WebRTC stack in a Lambda doubles its size, and its size is its cold start"},
	{"functions/...", "github.com/aws/aws-cdk-go/", "deployment code has no place in what is deployed"},
	{"functions/...", "github.com/aws/jsii-runtime-go", "deployment code has no place in what is deployed"},
	{"functions/...", module + "/infra", "deployment code has no place in what is deployed"},
	{"functions/...", module + "/sfu-node", "a Lambda knows nodes by their messages only"},
	{"sfu-node", "github.com/aws/", "a node needs no AWS credentials, so it cannot lose any"},
	{"sfu-node", module + "/shared", "a node knows the control plane by its messages only"},
	{"sfu-node", "github.com/quic-go/", "pipes are RTP under keys of mutual TLS; bench/quic, a module of its own, weighs the other way"},
	{"shared/step", "github.com/aws/", "the loop runs in the simulation too"},
	{"events", ".", "the contract uses the standard library only"}, // "." is in every foreign import path
}

// pure packages decide: the same arguments, the same result.
var pure = []string{"shared/room", "shared/price", "shared/fleet", "shared/placement", "shared/control", "shared/emf", "sfu-node/layer", "sfu-node/speaker", "sfu-node/bandwidth"}

// Time is an argument of these too, for all that they are not pure otherwise.
var clockless = append([]string{"shared/token", "events"}, pure...)

// impure packages give a decision something other than its arguments.
var impure = []string{
	"context", "crypto/rand", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "os/exec", "sync", "sync/atomic", "syscall",
}

// pkg is a package as `go list` tells of it.
type pkg struct {
	ImportPath string
	Dir        string
	Doc        string
	Imports    []string
	Deps       []string
	GoFiles    []string
	Standard   bool
}

// name is the import path within the module.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Doc,Imports,Deps,GoFiles", "./...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
	return all
}

// fits reports whether a pattern ("a", or "a/..." for a and all in it) names a
// package.
func fits(pattern, name string) bool {
	if folder, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == folder || strings.HasPrefix(name, folder+"/")
	}
	return pattern == name
}

func TestImportsFollowTheArrows(t *testing.T) {
	for _, p := range packages(t) {
		rule := slices.IndexFunc(arrows, func(r struct{ pkg, may, why string }) bool { return fits(r.pkg, p.name()) })
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, module+"/") {
				continue
			}
			if rule < 0 {
				t.Errorf("%s has no rule in arrows: say what it may import, and why", p.name())
				break
			}
			target := strings.TrimPrefix(imported, module+"/")
			if !slices.ContainsFunc(strings.Fields(arrows[rule].may), func(may string) bool { return fits(may, target) }) {
				t.Errorf("%s must not import %s: %s", p.name(), target, arrows[rule].why)
			}
		}
		for _, ban := range banned {
			if !fits(ban.from, p.name()) {
				continue
			}
			for _, dep := range p.Deps {
				foreign := strings.Contains(strings.Split(dep, "/")[0], ".")
				if foreign && (ban.what == "." || strings.HasPrefix(dep, ban.what)) {
					t.Errorf("%s must not link %s: %s", p.name(), dep, ban.why)
				}
			}
		}
	}
}

func TestPurePackagesReadNeitherClockNorWorld(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}
	for _, p := range packages(t) {
		if slices.Contains(pure, p.name()) {
			for _, imported := range p.Imports {
				if slices.Contains(impure, imported) || strings.Contains(strings.Split(imported, "/")[0], ".") && !strings.HasPrefix(imported, module+"/") {
					t.Errorf("%s is pure: it must not import %s", p.name(), imported)
				}
			}
		}
		if !slices.Contains(clockless, p.name()) {
			continue
		}
		for _, file := range p.GoFiles {
			fset := token.NewFileSet()
			parsed, err := parser.ParseFile(fset, filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, s.Sel.Name) {
					t.Errorf("%s: time.%s: time is an argument in %s", fset.Position(s.Pos()), s.Sel.Name, p.name())
				}
				return true
			})
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	drawers := []string{"util", "utils", "common", "helper", "helpers", "type", "types", "model", "models", "misc", "base", "lib"}
	for _, p := range packages(t) {
		if !strings.HasPrefix(p.Doc, "Package ") && !strings.HasPrefix(p.Doc, "Command ") {
			t.Errorf("%s has no package comment that begins with Package or Command", p.name())
		}
		if slices.Contains(drawers, path.Base(p.ImportPath)) {
			t.Errorf("%s: a name like a drawer: say what is in it", p.name())
		}
	}
}

// files calls visit with each file that is, or would be, committed.
func files(t *testing.T, visit func(name string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch name {
			case ".git", ".dev", "build", "sdk/node_modules", "sdk/dist":
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's file that is gone again
		}
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(name), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// maxLines is what a file of code may have without a reason.
const maxLines = 400

// longFiles have more, each with its reason.
var longFiles = map[string]string{
	"sdk/src/events.ts": "generated",
}

func TestLongFilesHaveAReason(t *testing.T) {
	seen := map[string]bool{}
	files(t, func(name string, text []byte) {
		switch path.Ext(name) {
		case ".go", ".ts", ".tsx", ".mjs", ".css":
		default:
			return
		}
		lines := strings.Count(string(text), "\n")
		_, excused := longFiles[name]
		seen[name] = true
		if lines > maxLines && !excused {
			t.Errorf("%s has %d lines: divide it, or give the reason in longFiles", name, lines)
		}
		if lines <= maxLines && excused {
			t.Errorf("%s has %d lines and needs no excuse in longFiles any more", name, lines)
		}
	})
	for name := range longFiles {
		if !seen[name] {
			t.Errorf("longFiles excuses %s, which does not exist", name)
		}
	}
}

// maxFunction is how many lines a function may have without a reason.
const maxFunction = 60

// longFunctions have more, each with its reason: file and function → why.
var longFunctions = map[string]string{}

func TestLongFunctionsHaveAReason(t *testing.T) {
	seen := map[string]bool{}
	files(t, func(name string, text []byte) {
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1
			key := name + " " + f.Name.Name
			_, excused := longFunctions[key]
			seen[key] = seen[key] || lines > maxFunction
			if lines > maxFunction && !excused {
				t.Errorf("%s: %s has %d lines: divide it, or give the reason in longFunctions", fset.Position(f.Pos()), f.Name.Name, lines)
			}
		}
	})
	for key := range longFunctions {
		if !seen[key] {
			t.Errorf("longFunctions excuses %s, which needs no excuse", key)
		}
	}
}

func TestNothingNamesTheMachineItWasMadeOn(t *testing.T) {
	// Folders of one person or machine, and hosts that packages were fetched
	// from: a lock file that names one makes everybody else fetch from there.
	made := regexp.MustCompile(`(?:^|[^\w.:-])/(?:root|home|Users|work)/\w|"resolved": *"http|\b(?:registry|proxy|mirror)\.[a-z0-9.-]+\.[a-z]{2,}\b`)
	files(t, func(name string, text []byte) {
		// In a linked work tree .git is a file that names the main one.
		if name == "house_test.go" || name == ".git" || strings.HasPrefix(name, "events/testdata/") {
			return
		}
		for i, line := range strings.Split(string(text), "\n") {
			if found := made.FindString(line); found != "" {
				t.Errorf("%s:%d names %q", name, i+1, strings.TrimSpace(found))
			}
		}
	})
}

func TestDecisionsAreNumberedWithoutGaps(t *testing.T) {
	names, err := filepath.Glob("docs/decisions/*")
	if err != nil {
		t.Fatal(err)
	}
	shape := regexp.MustCompile(`^(\d{4})-[a-z0-9-]+\.md$`)
	for i, name := range names { // Glob sorts
		m := shape.FindStringSubmatch(filepath.Base(name))
		if m == nil {
			t.Errorf("%s is not named NNNN-what-was-decided.md", name)
			continue
		}
		if n, _ := strconv.Atoi(m[1]); n != i+1 {
			t.Errorf("%s should be number %04d", name, i+1)
		}
	}
}
