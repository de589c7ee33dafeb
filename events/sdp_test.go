package events_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events"
)

func TestPack(t *testing.T) {
	for _, sdp := range []string{"", "v=0\r\n", strings.Repeat("a=x\r\n", 30_000), "\x00\xff"} {
		packed := events.Pack(sdp)
		got, err := events.Unpack(packed)
		if err != nil || got != sdp {
			t.Errorf("%.20q came back as %.20q, %v", sdp, got, err)
		}
		if strings.ContainsAny(packed, "+/=") {
			t.Errorf("%q is not base64url", packed)
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	whole := events.Pack(strings.Repeat("hello ", 100))
	var zlib bytes.Buffer
	zlib.Write([]byte{0x78, 0x9c}) // zlib's header (RFC 1950), then what follows it
	zlib.WriteString("anything")
	for name, test := range map[string]struct{ packed, words string }{
		"not base64url": {"v=0 o=- s=-", "base64url"},
		"standard":      {"+/+/", "base64url"},
		"cut off":       {whole[:len(whole)/2], "cut off"},
		"empty":         {"", "cut off"},
		"no DEFLATE":    {base64.RawURLEncoding.EncodeToString([]byte{0xff, 0xff, 0xff}), "DEFLATE"},
		"zlib":          {base64.RawURLEncoding.EncodeToString(zlib.Bytes()), "DEFLATE"},
		"over the size": {events.Pack(strings.Repeat("x", events.MaxSDP+1)), "larger than 196608"},
	} {
		_, err := events.Unpack(test.packed)
		var e *events.Error
		if !errors.As(err, &e) || e.Code != events.CodeBadOffer || !strings.Contains(e.Text, test.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := events.Unpack(events.Pack(strings.Repeat("x", events.MaxSDP))); err != nil || len(got) != events.MaxSDP {
		t.Errorf("just the size: %d bytes, %v", len(got), err)
	}
	if _, err := events.Unpack(events.Pack("padded") + "=="); err != nil {
		t.Errorf("with padding: %v", err)
	}
}

// 24 KB that would inflate to 24 MB must not claim more than what MaxSDP needs.
func TestADeflateBombIsCutShort(t *testing.T) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for range 24 {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	bomb := base64.RawURLEncoding.EncodeToString(b.Bytes())
	if len(bomb) > events.MaxFrame {
		t.Fatalf("the bomb has %d bytes: it does not fit a frame", len(bomb))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = events.Unpack(bomb)
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Fatal("the bomb was unpacked")
	}
	if claimed := after.TotalAlloc - before.TotalAlloc; claimed > 16*events.MaxSDP {
		t.Errorf("%d bytes were claimed", claimed)
	}
}

// joinWith is the golden join with its session description changed.
func joinWith(t *testing.T, change func(sdp string) string) []byte {
	t.Helper()
	sdp, err := os.ReadFile("testdata/offer.sdp")
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(sdp))
	if changed == string(sdp) {
		t.Fatal("nothing was changed")
	}
	return with(t, "Join", "offer", events.Pack(changed))
}

func replace(from, to string) func(string) string {
	return func(sdp string) string { return strings.ReplaceAll(sdp, from, to) }
}

// without drops the lines that begin so.
func without(prefix string) func(string) string {
	return func(sdp string) string {
		var kept strings.Builder
		for line := range strings.Lines(sdp) {
			if !strings.HasPrefix(line, prefix) {
				kept.WriteString(line)
			}
		}
		return kept.String()
	}
}

// cut takes away the media section that has this line.
func cut(sdp, line string) string {
	sections := strings.SplitAfter(sdp, "m=")
	var kept []string
	for _, s := range sections {
		if !strings.Contains(s, line) {
			kept = append(kept, s)
		}
	}
	return strings.Join(kept, "")
}

func TestOffersThatCannotBeAnswered(t *testing.T) {
	section := "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=recvonly\r\n"
	for name, test := range map[string]struct {
		change func(string) string
		words  string
	}{
		"not SDP":                 {func(string) string { return "GET / HTTP/1.1\r\n\r\n" }, "does not begin with v=0"},
		"JSON":                    {func(string) string { return `{"type":"offer","sdp":"v=0"}` }, "does not begin with v=0"},
		"empty":                   {func(string) string { return "" }, "does not begin with v=0"},
		"v=0 alone":               {func(string) string { return "v=0\r\n" }, "no media sections"},
		"500 m-lines":             {func(sdp string) string { return sdp + strings.Repeat(section, 500) }, "508 media sections, at most 73"},
		"no fingerprint":          {without("a=fingerprint:"), "no sha-256 fingerprint"},
		"a weak fingerprint only": {replace("a=fingerprint:sha-256", "a=fingerprint:sha-1"), "no sha-256 fingerprint"},
		"a broken fingerprint":    {replace("a=fingerprint:sha-256 8E:", "a=fingerprint:sha-256 8G:"), "no sha-256 fingerprint"},
		"no ufrag":                {without("a=ice-ufrag:"), "no ICE credentials"},
		"no pwd":                  {without("a=ice-pwd:"), "no ICE credentials"},
		"no data channel":         {func(sdp string) string { return sdp[:strings.Index(sdp, "m=application")] }, "0 data channel sections"},
		"two data channels":       {func(sdp string) string { return sdp + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" }, "2 data channel sections"},
		"a mid twice":             {replace("a=mid:6\r\n", "a=mid:5\r\n"), `section "5" twice`},
		"a section media forgot":  {func(sdp string) string { return sdp + section + "a=mid:8\r\n" }, `section "8", which media does not name`},
		"a section without mid":   {replace("a=mid:1\r\n", ""), `section ""`},
		"a section gone":          {func(sdp string) string { return cut(sdp, "a=mid:6\r\n") }, `media names the section "6"`},
		"sound as picture":        {replace("m=audio ", "m=video "), `is video, media names it as audio`},
		"a stream both ways":      {without("a=recvonly"), "is sendrecv, expected recvonly"},
		"a sender that receives":  {replace("a=sendonly", "a=recvonly"), "is recvonly, expected sendonly"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, events.FromClient, joinWith(t, test.change), events.CodeBadOffer, test.words)
		})
	}
}

func TestOffersThatDifferHarmlessly(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"bare newlines":        replace("\r\n", "\n"),
		"upper-case hash name": replace("a=fingerprint:sha-256", "a=fingerprint:SHA-256"),
		"unknown attributes":   replace("a=mid:0\r\n", "a=mid:0\r\na=x-whatever:1\r\n"),
	} {
		if _, err := events.Decode(events.FromClient, joinWith(t, change)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMedia(t *testing.T) {
	var join events.Join
	if err := json.Unmarshal(golden(t, "Join"), &join); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(join.Media.Mids(), " "); got != "0 1 2 3 4 5 6" {
		t.Errorf("mids: %s", got)
	}
	sending := join.Media.Sending()
	for source, want := range map[events.Source][2]string{
		events.Microphone: {"0", "audio"}, events.Camera: {"1", "video"}, events.Screen: {"2", "video"}, events.ScreenAudio: {"3", "audio"},
	} {
		if sending[source] != want[0] || source.Kind() != want[1] {
			t.Errorf("%s: section %q, kind %s", source, sending[source], source.Kind())
		}
	}
	if got := (events.Media{Camera: "1"}).Sending(); len(got) != 1 {
		t.Errorf("a camera alone sends %v", got)
	}
}

// As many streams as there may be are one valid offer, which fits a frame.
func TestTheLargestOffer(t *testing.T) {
	sdp, err := os.ReadFile("testdata/offer.sdp")
	if err != nil {
		t.Fatal(err)
	}
	var join events.Join
	if err := json.Unmarshal(golden(t, "Join"), &join); err != nil {
		t.Fatal(err)
	}
	text := string(sdp)
	template := "m=video" + strings.SplitN(strings.SplitN(text, "a=mid:6\r\n", 2)[0], "m=video", 5)[4]
	add := func(kind, mid string) {
		rest := strings.SplitN(text, "a=mid:6\r\n", 2)[1]
		rest = rest[:strings.Index(rest, "m=application")]
		text += strings.Replace(template, "m=video", "m="+kind, 1) + "a=mid:" + mid + "\r\n" + rest
	}
	for i := len(join.Media.Audio); i < events.MaxAudioStreams; i++ {
		mid := fmt.Sprintf("a%d", i)
		join.Media.Audio = append(join.Media.Audio, mid)
		add("audio", mid)
	}
	for i := len(join.Media.Video); i < events.MaxVideoStreams; i++ {
		mid := fmt.Sprintf("v%d", i)
		join.Media.Video = append(join.Media.Video, mid)
		add("video", mid)
	}
	join.Offer = events.Pack(text)
	fits(t, events.FromClient, join)
	t.Logf("%d sections, %d bytes, packed %d", 4+len(join.Media.Audio)+len(join.Media.Video)+1, len(text), len(join.Offer))
}
