package agent

import (
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

func TestJournalReachesTheControlPlane(t *testing.T) {
	g := newGateway(t)
	journal := &Journal{}
	log := slog.New(slog.NewMultiHandler(slog.NewTextHandler(io.Discard, nil), journal.Handler())).With("node", "node-1")
	log.Info("of no use later")
	log.Log(t.Context(), LevelNotice, "node starts", "bootStages", "script=4.1")
	log.Warn(strings.Repeat("ä", events.MaxJournalText))
	a, _, _ := run(t, g, &fakeMedia{}, func(c *Config) { c.Journal, c.JournalEvery = journal, 50*time.Millisecond })
	m := take(t, "journal", g.got).Message.(events.Journal)
	if m.Node != "node-1" || len(m.Lines) != 2 || m.Dropped != 0 {
		t.Fatalf("journal %+v", m)
	}
	if m.Lines[0].Level != "INFO+2" || !strings.Contains(m.Lines[0].Text, `"bootStages":"script=4.1"`) || !json.Valid([]byte(m.Lines[0].Text)) {
		t.Errorf("the notice is %+v", m.Lines[0])
	}
	if m.Lines[1].Level != "WARN" || len(m.Lines[1].Text) > events.MaxJournalText {
		t.Errorf("the long line has %d bytes at %s", len(m.Lines[1].Text), m.Lines[1].Level)
	}
	// The last words leave before the sockets close.
	log.Error("cannot go on")
	a.Close(t.Context())
	if last := take(t, "journal", g.got).Message.(events.Journal); len(last.Lines) != 1 || last.Lines[0].Level != "ERROR" {
		t.Errorf("last words %+v", last)
	}
}

func TestJournalDropsTheOldestAndSaysHowMany(t *testing.T) {
	journal := &Journal{}
	log := slog.New(journal.Handler())
	for i := range journalKept + 5 {
		log.Warn("line", "i", i)
	}
	lines, dropped := journal.take()
	if len(lines) != events.MaxJournalLines || dropped != 5 || !strings.Contains(lines[0].Text, `"i":5`) {
		t.Errorf("%d lines, %d dropped, first %s", len(lines), dropped, lines[0].Text)
	}
	for n := len(lines); n < journalKept; {
		lines, dropped = journal.take()
		if len(lines) == 0 || dropped != 0 {
			t.Fatalf("after %d lines come %d, %d dropped", n, len(lines), dropped)
		}
		n += len(lines)
	}
	// The largest message fits a frame.
	for range events.MaxJournalLines {
		log.Warn(strings.Repeat(`"`, events.MaxJournalText))
	}
	lines, _ = journal.take()
	if _, err := encode(events.Journal{Header: events.Head(events.ActionJournal), Node: "n", Lines: lines}); err != nil {
		t.Error(err)
	}
}
