package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/step"
)

func TestJournalIsWrittenToTheFunctionsLog(t *testing.T) {
	var out bytes.Buffer
	r := routes{world: &step.World{Log: slog.New(slog.NewJSONHandler(&out, nil))}}
	body, err := json.Marshal(events.Journal{Header: events.Head(events.ActionJournal), Node: "n-1", Generation: 2, Dropped: 4, Lines: []events.JournalLine{
		{AtMs: 1, Level: "ERROR", Text: `{"msg":"cannot go on"}`}, {AtMs: 2, Level: "odd", Text: `{"cut of`}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.handle(t.Context(), wire.Call{Kind: "node", Caller: control.Caller{Node: "n-1"}, Body: body}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"level":"ERROR","msg":"node log","node":"n-1","generation":2,"line":{"msg":"cannot go on"}`, `"level":"WARN"`, `"line":"{\"cut of"`, `"dropped":4`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, out.String())
		}
	}
	if err := r.handle(t.Context(), wire.Call{Kind: "node", Caller: control.Caller{Node: "n-2"}, Body: body}); err == nil {
		t.Error("a node speaks as another")
	}
}
