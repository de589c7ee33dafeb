package agent

import (
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// LevelNotice is the level of lines that are no warnings and that an operator
// must find all the same once the machine is gone.
const LevelNotice = slog.LevelInfo + 2

const (
	journalKept   = 256 // lines that wait
	journalWithin = 2 * time.Minute
)

// Journal keeps the latest notices, warnings and errors of a node's log until
// the agent has sent them to the control plane. A machine's disk goes with it.
type Journal struct {
	mu      sync.Mutex
	lines   []events.JournalLine
	dropped int64
}

// Handler returns the handler that fills the journal, to stand beside the one
// that writes the log.
func (j *Journal) Handler() slog.Handler {
	return slog.NewJSONHandler(j, &slog.HandlerOptions{Level: LevelNotice})
}

// Write takes one line, as a [slog.JSONHandler] writes it. When too many wait
// the oldest is dropped, and counted.
func (j *Journal) Write(line []byte) (int, error) {
	var head struct {
		Time  time.Time `json:"time"`
		Level string    `json:"level"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return 0, err
	}
	text := strings.TrimSuffix(string(line), "\n")
	if len(text) > events.MaxJournalText {
		text = strings.ToValidUTF8(text[:events.MaxJournalText], "")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) == journalKept {
		j.lines = j.lines[1:]
		j.dropped++
	}
	j.lines = append(j.lines, events.JournalLine{AtMs: head.Time.UnixMilli(), Level: head.Level, Text: text})
	return len(line), nil
}

// take returns the oldest lines, as many as one message holds.
func (j *Journal) take() (lines []events.JournalLine, dropped int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(j.lines), events.MaxJournalLines)
	lines, j.lines = j.lines[:n:n], j.lines[n:]
	if n > 0 {
		dropped, j.dropped = j.dropped, 0
	}
	return lines, dropped
}

// writeJournal sends what the journal holds, every so often and once more at the
// end, one message at a time.
func (a *Agent) writeJournal() {
	for a.ctx.Err() == nil {
		a.pause(a.cfg.JournalEvery)
		a.sendJournal()
	}
}

func (a *Agent) sendJournal() {
	lines, dropped := a.cfg.Journal.take()
	if len(lines) == 0 {
		return
	}
	a.send(events.Journal{Header: events.Head(events.ActionJournal), Node: a.cfg.Node, Generation: a.generation(), Lines: lines, Dropped: dropped}, journalWithin)
}
