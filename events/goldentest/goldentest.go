// Package goldentest holds messages to their goldens: what is written of them in
// testdata, which programs of other builds and in other languages read and write.
package goldentest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// Same reports a message that is not written as its golden is, blanks aside.
func Same(t testing.TB, golden []byte, m any) {
	t.Helper()
	again, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, golden); err != nil {
		t.Fatal(err)
	}
	if compact.String() != string(again) {
		t.Errorf("golden  %s\nencoded %s", compact.String(), again)
	}
}

// Unshown lists the fields of a message's type that its golden nowhere has. A field
// of a list's elements is shown when any of them has it.
func Unshown(t testing.TB, golden []byte, typ reflect.Type) []string {
	t.Helper()
	var value any
	if err := json.Unmarshal(golden, &value); err != nil {
		t.Fatal(err)
	}
	return unshown(typ, typ.Name(), value)
}

// raw is encoded already: what is in it is of no type.
var raw = reflect.TypeFor[json.RawMessage]()

func unshown(typ reflect.Type, path string, value any) []string {
	switch {
	case typ == raw:
		return nil
	case typ.Kind() == reflect.Pointer:
		return unshown(typ.Elem(), path, value)
	case typ.Kind() == reflect.Slice:
		return unshownElements(typ.Elem(), path, value)
	case typ.Kind() != reflect.Struct:
		return nil
	}
	object, _ := value.(map[string]any)
	var missing []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Anonymous {
			missing = append(missing, unshown(f.Type, path, value)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		at := path + "." + name
		if inner, ok := object[name]; ok {
			missing = append(missing, unshown(f.Type, at, inner)...)
		} else {
			missing = append(missing, at)
		}
	}
	return missing
}

func unshownElements(typ reflect.Type, path string, value any) []string {
	elements, _ := value.([]any)
	if len(elements) == 0 {
		return []string{path + "[]"}
	}
	shown := map[string]int{}
	for _, e := range elements {
		for _, missing := range unshown(typ, path, e) {
			shown[missing]++
		}
	}
	var missing []string
	for field, times := range shown {
		if times == len(elements) {
			missing = append(missing, field)
		}
	}
	return missing
}
