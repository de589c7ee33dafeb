package events

// Bounds of one [Journal]: with them it fits [MaxFrame], escapes included.
const (
	MaxJournalLines = 16
	MaxJournalText  = 800 // bytes of one line
)

// JournalLine is one line of a node's log.
type JournalLine struct {
	AtMs int64 `json:"atMs"` // the node's own clock, Unix milliseconds
	// Level is DEBUG, INFO, WARN or ERROR, with an offset where it lies between two
	// (INFO+2), as Go's log/slog writes it.
	Level string `json:"level"`
	Text  string `json:"text"` // the line, JSON unless it was cut
}

// Journal is what of a node's log an operator must find after the node is gone:
// how it booted, what it warned of, why it ended. It is written to the log of the
// function that takes it, and changes nothing.
type Journal struct {
	Header
	Node string `json:"node"`
	// Generation is 0 before the first welcome.
	Generation int64             `json:"generation"`
	Lines      List[JournalLine] `json:"lines"`
	// Dropped counts the lines that were not kept, because there were too many.
	Dropped int64 `json:"dropped,omitempty"`
}

// Validate implements [Message].
func (j Journal) Validate() error {
	if err := j.check(ActionJournal); err != nil {
		return err
	}
	if len(j.Lines) < 1 || len(j.Lines) > MaxJournalLines {
		return badField("lines", "has %d entries, expected 1 to %d", len(j.Lines), MaxJournalLines)
	}
	for _, l := range j.Lines {
		if err := firstOf(
			positive("lines.atMs", l.AtMs),
			bounded("lines.level", l.Level, 1, 16),
			bounded("lines.text", l.Text, 1, MaxJournalText),
		); err != nil {
			return err
		}
	}
	return firstOf(
		bounded("node", j.Node, 1, MaxID),
		inRange("generation", j.Generation, 0, maxSafe),
		inRange("dropped", j.Dropped, 0, maxSafe),
	)
}
