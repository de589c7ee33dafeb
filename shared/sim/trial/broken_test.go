package trial

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// whichBroken is the environment variable that says which way to break the code,
// by its number from 1.
const whichBroken = "SPILLWAY_BROKEN"

// broken makes copies of the files of shared in which every function that a mutant
// patches stands once more for each, as that mutant has it, and hands its work to
// that one when it is told to. So all mutants are in one program, which is built
// once. It returns path → new text, and fails where a patch does not find its line
// once, within a function.
func broken(t *testing.T, shared string) map[string]string {
	t.Helper()
	byFile := map[string][]numbered{}
	for i, m := range mutants {
		for _, p := range m.patches {
			byFile[p.file] = append(byFile[p.file], numbered{i + 1, p})
		}
	}
	out := map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		path := filepath.Join(shared, filepath.FromSlash(file))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		text, pkg, err := breakFile(string(data), byFile[file])
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		out[path] = text
		out[filepath.Join(filepath.Dir(path), "broken.go")] = "package " + pkg + "\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\n" +
			"var broken, _ = strconv.Atoi(os.Getenv(\"" + whichBroken + "\"))\n"
	}
	return out
}

// numbered is a patch of a mutant.
type numbered struct {
	mutant int
	patch  patch
}

// breakFile breaks one file in many ways.
func breakFile(source string, patches []numbered) (text, pkg string, err error) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, "", source, parser.SkipObjectResolution)
	if err != nil {
		return "", "", err
	}
	at := func(p token.Pos) int { return files.Position(p).Offset }
	type edit struct {
		fn     *ast.FuncDecl
		mutant int
	}
	bodies := map[edit]string{}
	var order []edit
	for _, n := range patches {
		if c := strings.Count(source, n.patch.old); c != 1 {
			return "", "", fmt.Errorf("the patch of %q applies %d times, expected once: %s", mutants[n.mutant-1].name, c, n.patch.old)
		}
		i := strings.Index(source, n.patch.old)
		k := slices.IndexFunc(f.Decls, func(d ast.Decl) bool {
			fn, ok := d.(*ast.FuncDecl)
			return ok && at(fn.Pos()) <= i && i+len(n.patch.old) <= at(fn.End())
		})
		if k < 0 {
			return "", "", fmt.Errorf("the patch of %q is not within one function: %s", mutants[n.mutant-1].name, n.patch.old)
		}
		e := edit{f.Decls[k].(*ast.FuncDecl), n.mutant}
		if _, ok := bodies[e]; !ok {
			order = append(order, e)
			bodies[e] = source[at(e.fn.Pos()):at(e.fn.End())]
		}
		bodies[e] = strings.Replace(bodies[e], n.patch.old, n.patch.new, 1)
	}
	// From the end of the file on, so that offsets stay what they are.
	slices.SortStableFunc(order, func(a, b edit) int { return at(b.fn.Pos()) - at(a.fn.Pos()) })
	copies := ""
	for _, e := range order {
		name := fmt.Sprintf("%sBroken%d", e.fn.Name.Name, e.mutant)
		call, err := handOver(e.fn, name)
		if err != nil {
			return "", "", err
		}
		open := at(e.fn.Body.Lbrace) + 1
		source = source[:open] + fmt.Sprintf(" if broken == %d { %s };", e.mutant, call) + source[open:]
		from := at(e.fn.Name.Pos()) - at(e.fn.Pos())
		copies += "\n\n" + bodies[e][:from] + name + bodies[e][from+len(e.fn.Name.Name):]
	}
	return source + copies + "\n", f.Name.Name, nil
}

// handOver calls the other function in place of fn, with fn's own arguments.
func handOver(fn *ast.FuncDecl, other string) (string, error) {
	var args []string
	for _, field := range fn.Type.Params.List {
		_, more := field.Type.(*ast.Ellipsis)
		if len(field.Names) == 0 {
			return "", fmt.Errorf("%s has parameters without names", fn.Name.Name)
		}
		for _, n := range field.Names {
			if n.Name == "_" {
				return "", fmt.Errorf("%s has parameters without names", fn.Name.Name)
			}
			arg := n.Name
			if more {
				arg += "..."
			}
			args = append(args, arg)
		}
	}
	call := other + "(" + strings.Join(args, ", ") + ")"
	if fn.Recv != nil {
		if len(fn.Recv.List[0].Names) == 0 {
			return "", fmt.Errorf("%s has a receiver without a name", fn.Name.Name)
		}
		call = fn.Recv.List[0].Names[0].Name + "." + call
	}
	if fn.Type.Results == nil {
		return call + "; return", nil
	}
	return "return " + call, nil
}

// buildBroken builds the command that plays scenes and seeds on code that can be
// broken in every way.
func buildBroken(t *testing.T) string {
	t.Helper()
	shared, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for path, text := range broken(t, shared) {
		to := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[path] = to
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay, bin := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "broken")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-overlay", overlay, "-o", bin, "./replay").CombinedOutput(); err != nil {
		t.Fatalf("the broken code does not build: %v\n%s", err, out)
	}
	return bin
}
