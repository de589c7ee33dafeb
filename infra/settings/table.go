package settings

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// row documents one setting.
type row struct{ name, fallback, doc string }

// rows reads the documentation off the type, so that there is one of it.
func rows() []row { return rowsOf("", reflect.ValueOf(Default())) }

func rowsOf(prefix string, v reflect.Value) []row {
	var out []row
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := prefix + f.Tag.Get("json")
		if f.Type.Kind() == reflect.Struct {
			out = append(out, row{name, "", f.Tag.Get("doc")})
			out = append(out, rowsOf(name+".", v.Field(i))...)
			continue
		}
		text, err := json.Marshal(v.Field(i).Interface())
		if err != nil {
			panic(err) // a default that is no JSON
		}
		out = append(out, row{name, string(text), f.Tag.Get("doc")})
	}
	return out
}

// Table lists all settings as a table in Markdown, as docs/operations.md has it.
func Table() string {
	var b strings.Builder
	b.WriteString("| setting | default | what it does |\n| --- | --- | --- |\n")
	for _, r := range rows() {
		fallback := ""
		if r.fallback != "" {
			fallback = "`" + r.fallback + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.name, fallback, r.doc)
	}
	return b.String()
}
