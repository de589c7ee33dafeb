package events

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"errors"
	"io"
	"strings"
)

// MaxSections bounds the media sections of an offer: all receive streams, four
// senders and the data channel, with some to spare.
const MaxSections = MaxAudioStreams + MaxVideoStreams + 8

// Pack makes a session description fit a frame: raw DEFLATE (RFC 1951), then
// unpadded base64url. Browsers have the same in
// CompressionStream("deflate-raw").
func Pack(sdp string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression) // a valid level cannot fail
	_, _ = io.WriteString(w, sdp)                         // a bytes.Buffer cannot fail
	_ = w.Close()
	return base64.RawURLEncoding.EncodeToString(b.Bytes())
}

// Unpack undoes [Pack]. It stops inflating at [MaxSDP] bytes, so that a small
// message cannot claim much memory. Its error is an [*Error].
func Unpack(packed string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(packed, "="))
	if err != nil {
		return "", Errorf(CodeBadOffer, "session description is not base64url")
	}
	r := flate.NewReader(bytes.NewReader(raw))
	defer r.Close()
	sdp, err := io.ReadAll(io.LimitReader(r, MaxSDP+1))
	if len(sdp) > MaxSDP {
		return "", Errorf(CodeBadOffer, "session description is larger than %d bytes", MaxSDP)
	}
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return "", Errorf(CodeBadOffer, "session description is cut off")
		}
		return "", Errorf(CodeBadOffer, "session description is not raw DEFLATE")
	}
	return string(sdp), nil
}

// checkOffer checks what can be checked of an offer without a WebRTC stack:
// that it is a session description with ICE credentials and a fingerprint, that
// media names each of its sections, of which there may be so many, once and with
// the right direction, and that there is a data channel.
func checkOffer(packed string, media Media) error {
	if packed == "" {
		return badField("offer", "is missing")
	}
	sdp, err := Unpack(packed)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(sdp, "v=0\r\n") && !strings.HasPrefix(sdp, "v=0\n") {
		return Errorf(CodeBadOffer, "offer is not a session description: it does not begin with v=0")
	}
	o := readOffer(sdp)
	switch {
	case len(o.sections) == 0:
		return Errorf(CodeBadOffer, "offer has no media sections")
	case len(o.sections) > MaxSections:
		return Errorf(CodeBadOffer, "offer has %d media sections, at most %d are taken", len(o.sections), MaxSections)
	case !o.certified:
		return Errorf(CodeBadOffer, "offer has no sha-256 fingerprint")
	case !o.ufrag || !o.pwd:
		return Errorf(CodeBadOffer, "offer has no ICE credentials")
	}
	return o.match(media)
}

// offer is what checkOffer wants to know of a session description.
type offer struct {
	sections              []section
	ufrag, pwd, certified bool
}

// section is one media section: its media type, its mid, and the direction that
// its attributes give, sendrecv when they give none (RFC 8866, section 6.7).
type section struct{ kind, mid, direction string }

// readOffer goes through the lines of a session description (RFC 8866).
func readOffer(sdp string) offer {
	var o offer
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		if kind, ok := strings.CutPrefix(line, "m="); ok {
			kind, _, _ = strings.Cut(kind, " ")
			o.sections = append(o.sections, section{kind: kind, direction: "sendrecv"})
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "a=ice-ufrag":
			o.ufrag = true
		case "a=ice-pwd":
			o.pwd = true
		case "a=fingerprint":
			hash, sum, _ := strings.Cut(value, " ")
			o.certified = o.certified || strings.EqualFold(hash, "sha-256") && fingerprint(sum)
		}
		if len(o.sections) == 0 {
			continue
		}
		last := &o.sections[len(o.sections)-1]
		switch name {
		case "a=mid":
			last.mid = value
		case "a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive":
			last.direction = name[len("a="):]
		}
	}
	return o
}

// match checks that media names all sections but the data channel's, as what
// they are.
func (o offer) match(media Media) error {
	type role struct{ kind, direction string }
	roles := map[string]role{}
	for source, mid := range media.Sending() {
		roles[mid] = role{source.Kind(), "sendonly"}
	}
	for _, mid := range media.Audio {
		roles[mid] = role{"audio", "recvonly"}
	}
	for _, mid := range media.Video {
		roles[mid] = role{"video", "recvonly"}
	}
	channels := 0
	seen := map[string]bool{}
	for _, s := range o.sections {
		if s.kind == "application" {
			channels++
			continue
		}
		want, named := roles[s.mid]
		switch {
		case seen[s.mid]:
			return Errorf(CodeBadOffer, "offer has the section %.16q twice", s.mid)
		case !named:
			return Errorf(CodeBadOffer, "offer has the section %.16q, which media does not name", s.mid)
		case s.kind != want.kind:
			return Errorf(CodeBadOffer, "section %.16q is %.16s, media names it as %s", s.mid, s.kind, want.kind)
		case s.direction != want.direction:
			return Errorf(CodeBadOffer, "section %.16q is %s, expected %s", s.mid, s.direction, want.direction)
		}
		seen[s.mid] = true
	}
	for _, mid := range media.Mids() {
		if !seen[mid] {
			return Errorf(CodeBadOffer, "media names the section %.16q, which the offer does not have", mid)
		}
	}
	if channels != 1 {
		return Errorf(CodeBadOffer, "offer has %d data channel sections, expected 1", channels)
	}
	return nil
}
