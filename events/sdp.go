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
// that it is a session description with ICE credentials and a fingerprint, with
// a bounded number of media sections, and that it has the sections that media
// names, and a data channel.
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
	o, err := readOffer(sdp)
	if err != nil {
		return err
	}
	switch {
	case o.sections == 0:
		return Errorf(CodeBadOffer, "offer has no media sections")
	case o.sections > MaxSections:
		return Errorf(CodeBadOffer, "offer has %d media sections, at most %d are taken", o.sections, MaxSections)
	case !o.certified:
		return Errorf(CodeBadOffer, "offer has no sha-256 fingerprint")
	case !o.ufrag || !o.pwd:
		return Errorf(CodeBadOffer, "offer has no ICE credentials")
	case o.channels != 1:
		return Errorf(CodeBadOffer, "offer has %d data channel sections, expected 1", o.channels)
	}
	for source, mid := range media.Sending() {
		if err := o.has(mid, source.Kind()); err != nil {
			return err
		}
	}
	for _, mid := range media.Audio {
		if err := o.has(mid, "audio"); err != nil {
			return err
		}
	}
	for _, mid := range media.Video {
		if err := o.has(mid, "video"); err != nil {
			return err
		}
	}
	return nil
}

// offer is what checkOffer wants to know of a session description.
type offer struct {
	sections, channels    int
	ufrag, pwd, certified bool
	kinds                 map[string]string // mid → media type
}

// readOffer goes through the lines of a session description (RFC 8866).
func readOffer(sdp string) (offer, error) {
	o := offer{kinds: map[string]string{}}
	kind := ""
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "m="):
			o.sections++
			kind, _, _ = strings.Cut(line[len("m="):], " ")
			if kind == "application" {
				o.channels++
			}
		case strings.HasPrefix(line, "a=mid:"):
			mid := line[len("a=mid:"):]
			if _, twice := o.kinds[mid]; twice {
				return o, Errorf(CodeBadOffer, "offer has the mid %.16q twice", mid)
			}
			o.kinds[mid] = kind
		case strings.HasPrefix(line, "a=ice-ufrag:"):
			o.ufrag = true
		case strings.HasPrefix(line, "a=ice-pwd:"):
			o.pwd = true
		case strings.HasPrefix(line, "a=fingerprint:"):
			hash, sum, _ := strings.Cut(line[len("a=fingerprint:"):], " ")
			o.certified = o.certified || strings.EqualFold(hash, "sha-256") && fingerprint(sum)
		}
	}
	return o, nil
}

// has checks that the offer has a section of a media type.
func (o offer) has(mid, kind string) error {
	if o.kinds[mid] == kind {
		return nil
	}
	return Errorf(CodeBadOffer, "media names section %.16q, which the offer does not have as %s", mid, kind)
}
