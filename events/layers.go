package events

// SourceLayers are the layers of one of the receiver's own sources that somebody
// is sent.
type SourceLayers struct {
	Source Source `json:"source"`
	// Rids name the layers (RFC 8852), the smallest first; those not listed need
	// not be sent.
	Rids List[string] `json:"rids"`
}

// Layers tells a publisher which layers of its videos are of use now. A source
// that is not listed is to be sent in all of its layers, as before the first
// message.
type Layers struct {
	Header
	Sources List[SourceLayers] `json:"sources"`
}

// Validate implements [Message].
func (l Layers) Validate() error {
	if err := l.check(ActionLayers); err != nil {
		return err
	}
	seen := map[Source]bool{}
	for _, s := range l.Sources {
		if !s.Source.valid() {
			return badField("sources.source", "is %.32q, which is not a source", string(s.Source))
		}
		if seen[s.Source] {
			return badField("sources", "lists %s twice", s.Source)
		}
		seen[s.Source] = true
		if len(s.Rids) < 1 || len(s.Rids) > 3 {
			return badField("sources.rids", "has %d entries, 1 to 3 are taken", len(s.Rids))
		}
		for _, rid := range s.Rids {
			if err := bounded("sources.rids", rid, 1, 16); err != nil {
				return err
			}
		}
	}
	return nil
}
