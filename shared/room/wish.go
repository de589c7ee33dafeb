package room

import "fmt"

// Wish is what a customer says of a room's limits, by the HTTP API or in a join
// token. What it leaves out is the preset's, or without one that of a room which
// nobody declared.
type Wish struct {
	Preset          string   `json:"preset,omitempty"`
	MaxParticipants *int     `json:"maxParticipants,omitempty"`
	MaxPublishers   *int     `json:"maxPublishers,omitempty"`
	AudioStreams    *int     `json:"audioStreams,omitempty"`
	VideoStreams    *int     `json:"videoStreams,omitempty"`
	ReceiveKbps     *int64   `json:"receiveKbps,omitempty"`
	SendKbps        *int64   `json:"sendKbps,omitempty"`
	VideoCodecs     []string `json:"videoCodecs,omitempty"`
	// Metadata is what is said of the room.
	Metadata *string `json:"metadata,omitempty"`
}

// Bounds of what a room may be: beyond them numbers are mistakes.
const (
	maxParticipants = 5_000_000
	maxKbps         = 1_000_000
)

// Profile is the profile that a wish stands for; otherwise is that of a room which
// nobody declared. Its error names the first limit that makes no sense.
func (w Wish) Profile(otherwise Profile) (Profile, error) {
	p := otherwise
	if w.Preset != "" {
		var err error
		if p, err = Preset(w.Preset); err != nil {
			return p, err
		}
	}
	set(&p.MaxParticipants, w.MaxParticipants)
	if w.MaxPublishers == nil {
		p.MaxPublishers = min(p.MaxPublishers, p.MaxParticipants)
	}
	set(&p.MaxPublishers, w.MaxPublishers)
	set(&p.AudioStreams, w.AudioStreams)
	set(&p.VideoStreams, w.VideoStreams)
	set(&p.ReceiveKbps, w.ReceiveKbps)
	set(&p.SendKbps, w.SendKbps)
	if w.VideoCodecs != nil {
		p.VideoCodecs = w.VideoCodecs
	}
	switch {
	case p.MaxParticipants > maxParticipants:
		return p, fmt.Errorf("maxParticipants is %d, at most %d are taken", p.MaxParticipants, maxParticipants)
	case p.ReceiveKbps > maxKbps:
		return p, fmt.Errorf("receiveKbps is %d, at most %d are taken", p.ReceiveKbps, maxKbps)
	case w.Metadata != nil && len(*w.Metadata) > MaxMetadata:
		return p, fmt.Errorf("metadata has %d bytes, at most %d are taken", len(*w.Metadata), MaxMetadata)
	case p.SendKbps > maxKbps:
		return p, fmt.Errorf("sendKbps is %d, at most %d are taken", p.SendKbps, maxKbps)
	}
	return p, p.Validate()
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}
