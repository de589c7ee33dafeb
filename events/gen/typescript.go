package main

import (
	"bytes"
	"fmt"
	"go/types"
	"reflect"
	"regexp"
	"sort"
	"strings"

	"github.com/spillway-sfu/spillway/events"
)

const preamble = `// Code generated from the Go package events by "make types". DO NOT EDIT.
//
// Names are those of the Go package, some of which (Error) the language has too:
//
//	import type * as events from "./events.js";

`

// sides are the borders that a browser stands at.
var sides = []struct {
	name, doc string
	border    events.Border
}{
	{"FromClient", "What a browser may send over its socket.", events.FromClient},
	{"ToClient", "What a browser may receive over its socket.", events.ToClient},
	{"FromSDK", "What the SDK may send over the data channel.", events.FromSDK},
	{"ToSDK", "What the SDK may receive over the data channel.", events.ToSDK},
}

// generator writes types as they are first mentioned.
type generator struct {
	*source
	out     bytes.Buffer
	queue   []*types.Named
	queued  map[string]bool
	actions map[string]events.Action // message type → the action it always has
}

// generate returns the TypeScript of the package in dir.
func generate(dir string) ([]byte, error) {
	src, err := read(dir)
	if err != nil {
		return nil, err
	}
	g := &generator{source: src, queued: map[string]bool{}, actions: map[string]events.Action{}}
	g.out.WriteString(preamble)
	g.bounds()
	for _, side := range sides {
		if err := g.union(side.name, side.doc, side.border); err != nil {
			return nil, err
		}
	}
	for len(g.queue) > 0 {
		next := g.queue[0]
		g.queue = g.queue[1:]
		if err := g.declare(next); err != nil {
			return nil, err
		}
	}
	return append(bytes.TrimRight(g.out.Bytes(), "\n"), '\n'), nil
}

// bounds writes the plain constants of the files that concern browsers.
func (g *generator) bounds() {
	concerns := map[string]bool{"envelope.go": true, "client.go": true, "channel.go": true, "sdp.go": true, "data.go": true, "stats.go": true}
	for _, c := range g.constants(func(c *types.Const) bool {
		basic, ok := c.Type().(*types.Basic)
		return ok && basic.Info()&types.IsUntyped != 0 && concerns[g.file(c)]
	}) {
		g.comment("", g.docs[c.Pos()])
		fmt.Fprintf(&g.out, "export const %s = %s;\n", c.Name(), c.Val().ExactString())
	}
	g.out.WriteByte('\n')
}

// union writes the union of the messages that cross one border, and the list of
// their actions for code that must ask at run time.
func (g *generator) union(name, doc string, border events.Border) error {
	messages := events.Messages(border)
	var actions []string
	for action, m := range messages {
		goName := reflect.TypeOf(m).Name()
		if have, ok := g.actions[goName]; ok && have != action {
			return fmt.Errorf("%s is both %q and %q", goName, have, action)
		}
		g.actions[goName] = action
		actions = append(actions, string(action))
	}
	sort.Strings(actions)
	var names, quoted []string
	for _, action := range actions {
		goName := reflect.TypeOf(messages[events.Action(action)]).Name()
		named, err := g.named(goName)
		if err != nil {
			return err
		}
		g.enqueue(named)
		names = append(names, goName)
		quoted = append(quoted, fmt.Sprintf("%q", action))
	}
	g.comment("", doc)
	fmt.Fprintf(&g.out, "export type %s =\n  | %s;\n\n", name, strings.Join(names, "\n  | "))
	g.comment("", "The actions of "+name+".")
	fmt.Fprintf(&g.out, "export const %sActions = [\n  %s,\n] as const satisfies readonly %s[\"action\"][];\n\n",
		strings.ToLower(name[:1])+name[1:], strings.Join(quoted, ",\n  "), name)
	return nil
}

func (g *generator) enqueue(n *types.Named) {
	if !g.queued[n.Obj().Name()] {
		g.queued[n.Obj().Name()] = true
		g.queue = append(g.queue, n)
	}
}

// declare writes one type.
func (g *generator) declare(n *types.Named) error {
	g.comment("", g.docs[n.Obj().Pos()])
	switch u := n.Underlying().(type) {
	case *types.Struct:
		return g.object(n.Obj().Name(), u)
	case *types.Basic:
		return g.words(n)
	default:
		return fmt.Errorf("%s: no TypeScript for %s", n.Obj().Name(), u)
	}
}

// object writes a struct as an interface.
func (g *generator) object(name string, s *types.Struct) error {
	fmt.Fprintf(&g.out, "export interface %s {\n", name)
	for i := range s.NumFields() {
		f := s.Field(i)
		if f.Embedded() && f.Name() == "Header" {
			fmt.Fprintf(&g.out, "  action: %q;\n  v: typeof Version;\n", string(g.actions[name]))
			continue
		}
		key, options, _ := strings.Cut(reflect.StructTag(s.Tag(i)).Get("json"), ",")
		if f.Embedded() || key == "" || key == "-" {
			return fmt.Errorf("%s.%s: only Header may be embedded, and every field needs a name in JSON", name, f.Name())
		}
		ts, err := g.typeOf(f.Type())
		if err != nil {
			return fmt.Errorf("%s.%s: %w", name, f.Name(), err)
		}
		optional := ""
		if strings.Contains(options, "omitempty") {
			optional = "?"
		}
		g.comment("  ", g.docs[f.Pos()])
		fmt.Fprintf(&g.out, "  %s%s: %s;\n", key, optional, ts)
	}
	g.out.WriteString("}\n\n")
	return nil
}

// words writes a named string as the union of its constants.
func (g *generator) words(n *types.Named) error {
	values := g.constants(func(c *types.Const) bool { return c.Type() == n })
	if len(values) == 0 {
		return fmt.Errorf("%s has no constants", n.Obj().Name())
	}
	fmt.Fprintf(&g.out, "export type %s =", n.Obj().Name())
	for _, c := range values {
		g.out.WriteByte('\n')
		g.comment("  ", g.docs[c.Pos()])
		fmt.Fprintf(&g.out, "  | %s", c.Val().ExactString())
	}
	g.out.WriteString(";\n\n")
	return nil
}

// typeOf names a Go type in TypeScript, as encoding/json would write it.
func (g *generator) typeOf(t types.Type) (string, error) {
	switch t := t.(type) {
	case *types.Named:
		if t.Obj().Name() == "List" {
			return g.array(t.TypeArgs().At(0))
		}
		g.enqueue(t)
		return t.Obj().Name(), nil
	case *types.Pointer:
		return g.typeOf(t.Elem())
	case *types.Slice:
		return g.array(t.Elem())
	case *types.Map:
		value, err := g.typeOf(t.Elem())
		return "Record<string, " + value + ">", err
	case *types.Basic:
		switch {
		case t.Info()&types.IsString != 0:
			return "string", nil
		case t.Info()&types.IsBoolean != 0:
			return "boolean", nil
		case t.Info()&types.IsNumeric != 0:
			return "number", nil
		}
	}
	return "", fmt.Errorf("no TypeScript for %s", t)
}

func (g *generator) array(elem types.Type) (string, error) {
	name, err := g.typeOf(elem)
	return name + "[]", err
}

// goLink is a reference in a Go comment: [Name] or [*Name].
var goLink = regexp.MustCompile(`\[\*?([A-Z][A-Za-z.]*)\]`)

// comment writes a Go comment as a doc comment.
func (g *generator) comment(indent, text string) {
	text = strings.TrimSpace(goLink.ReplaceAllString(text, "$1"))
	if text == "" {
		return
	}
	lines := strings.Split(text, "\n")
	if len(lines) == 1 {
		fmt.Fprintf(&g.out, "%s/** %s */\n", indent, lines[0])
		return
	}
	fmt.Fprintf(&g.out, "%s/**\n", indent)
	for _, line := range lines {
		fmt.Fprintf(&g.out, "%s\n", strings.TrimRight(indent+" * "+line, " "))
	}
	fmt.Fprintf(&g.out, "%s */\n", indent)
}
