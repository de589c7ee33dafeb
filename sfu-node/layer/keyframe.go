package layer

// Codec names a codec by the subtype of its media type, in lower case.
type Codec string

// The codecs that a node forwards.
const (
	CodecVP8  Codec = "vp8"
	CodecH264 Codec = "h264"
	CodecVP9  Codec = "vp9"
	CodecAV1  Codec = "av1"
	CodecOpus Codec = "opus"
)

// KeyFrame reports whether a payload of codec c begins a frame at which a
// decoder can start. It errs towards false on what it cannot read. Every packet
// of an audio codec is such a start.
func KeyFrame(c Codec, payload []byte) bool {
	switch c {
	case CodecVP8:
		d, ok := ParseVP8(payload)
		return ok && d.Key
	case CodecH264:
		return keyH264(payload)
	case CodecVP9:
		d, ok := ParseVP9(payload)
		return ok && d.Key
	case CodecAV1:
		return keyAV1(payload)
	case CodecOpus:
		return true
	}
	return false
}

// keyH264 looks for a sequence parameter set, which browsers send before each
// IDR picture (RFC 6184, sections 5.6 to 5.8).
func keyH264(p []byte) bool {
	const (
		sps   = 7
		stapA = 24
		fuA   = 28
	)
	if len(p) < 2 {
		return false
	}
	switch p[0] & 0x1f {
	case sps:
		return true
	case stapA:
		for at := 1; at+2 < len(p); {
			size := int(p[at])<<8 | int(p[at+1])
			if p[at+2]&0x1f == sps {
				return true
			}
			at += 2 + size
		}
	case fuA:
		return p[1]&0x80 != 0 && p[1]&0x1f == sps
	}
	return false
}

// keyAV1 reads the N bit of the aggregation header: the packet begins a coded
// video sequence (RTP Payload Format for AV1, section 4.4).
func keyAV1(p []byte) bool {
	const first = 0x08
	return len(p) > 1 && p[0]&first != 0
}
