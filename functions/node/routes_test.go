package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

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

func TestMetricsAreWrittenForCloudWatch(t *testing.T) {
	var out bytes.Buffer
	r := routes{world: &step.World{Log: slog.New(slog.DiscardHandler)}, metrics: metrics{&out, "Spillway/test"}}
	body, err := json.Marshal(events.Metrics{Header: events.Head(events.ActionMetrics), Node: "n-1", Generation: 2, TakenMs: time.Now().UnixMilli(),
		Figures: &events.NodeFigures{People: 2, OverTCP: 1}, Rooms: []events.RoomFigures{{Room: "stand-up", People: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	call := wire.Call{Kind: "node", Caller: control.Caller{Node: "n-1"}, Body: body}
	if err := r.handle(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"NodePeopleOverTcp":1`) || !strings.Contains(lines[1], `"Room":"stand-up"`) {
		t.Fatalf("written was %s", out.String())
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) || !strings.Contains(l, `"Namespace":"Spillway/test"`) {
			t.Errorf("line %s", l)
		}
	}
	out.Reset()
	call.Caller.Node = "n-2"
	if err := r.handle(t.Context(), call); err == nil || out.Len() > 0 {
		t.Errorf("a node speaks as another: %v, %s", err, out.String())
	}
	t.Setenv("SPILLWAY_EMF", "off")
	call.Caller.Node = "n-1"
	if err := (routes{world: r.world, metrics: metricsOut("test")}).handle(t.Context(), call); err != nil {
		t.Errorf("without metrics: %v", err)
	}
}
