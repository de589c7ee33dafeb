package layer

import "encoding/binary"

// A packet that carries AV1's dependency descriptor has its header extensions in the
// form in which they may be long (RFC 8285, section 4.3).

const extensionAt = 4 // behind the form and the length

// DescribedLen is how many bytes header extensions take that are a dependency
// descriptor of n bytes and, if numbered, a transport-wide sequence number.
func DescribedLen(n int, numbered bool) int {
	length := 2 + n
	if numbered {
		length += 4
	}
	return extensionAt + (length+3)/4*4
}

// PutDescribed writes those extensions into b, which is an RTP packet, from begin on:
// the descriptor under the one id, and under the other, unless that is 0, the
// number. It returns the descriptor there, and where the extensions end.
func PutDescribed(b []byte, begin int, id uint8, dependency []byte, numberID uint8, number uint16) (descriptor []byte, end int) {
	end = begin + DescribedLen(len(dependency), numberID != 0)
	b[0] |= 0x10
	binary.BigEndian.PutUint16(b[begin:], 0x1000)
	binary.BigEndian.PutUint16(b[begin+2:], uint16((end-begin)/4-1))
	at := begin + extensionAt
	if numberID != 0 {
		b[at], b[at+1] = numberID, 2
		binary.BigEndian.PutUint16(b[at+2:], number)
		at += 4
	}
	b[at], b[at+1] = id, byte(len(dependency))
	descriptor = b[at+2 : at+2+len(dependency)]
	copy(descriptor, dependency)
	clear(b[at+2+len(dependency) : end])
	return descriptor, end
}
