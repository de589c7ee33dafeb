package seal

import (
	"crypto/aes"
	gocipher "crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"hash"
)

// cipher is the session keys of RTP or of RTCP in one direction. Either gcm or cm
// is set.
type cipher struct {
	gcm   gocipher.AEAD
	cm    *counterMode
	salt  [14]byte
	nonce [12]byte // scratch
	extra [rtcpHeader + rtcpIndex]byte
}

const (
	gcmTag = 16
	cmTag  = 10
)

func (c *cipher) tag() int {
	if c.cm != nil {
		return cmTag
	}
	return gcmTag
}

// nonceRTP makes GCM's nonce (RFC 7714, section 8.1).
func (c *cipher) nonceRTP(ssrc uint32, index uint64) []byte {
	c.nonce = [12]byte{}
	binary.BigEndian.PutUint32(c.nonce[2:], ssrc)
	binary.BigEndian.PutUint32(c.nonce[6:], uint32(index>>16))
	binary.BigEndian.PutUint16(c.nonce[10:], uint16(index))
	return c.salted()
}

// nonceRTCP makes GCM's nonce (RFC 7714, section 9.1).
func (c *cipher) nonceRTCP(ssrc, index uint32) []byte {
	c.nonce = [12]byte{}
	binary.BigEndian.PutUint32(c.nonce[2:], ssrc)
	binary.BigEndian.PutUint32(c.nonce[8:], index)
	return c.salted()
}

func (c *cipher) salted() []byte {
	for i := range c.nonce {
		c.nonce[i] ^= c.salt[i]
	}
	return c.nonce[:]
}

// sealRTP seals b[:n] and returns its new length. There is room.
func (c *cipher) sealRTP(b []byte, header, n int, ssrc uint32, index uint64) int {
	if c.cm == nil {
		c.gcm.Seal(b[header:header], c.nonceRTP(ssrc, index), b[header:n], b[:header])
		return n + gcmTag
	}
	c.cm.encrypt(b[header:n], &c.salt, ssrc, index)
	c.cm.sum(b[:n], uint32(index>>16))
	return n + copy(b[n:n+cmTag], c.cm.code[:])
}

// openRTP opens b and returns the length of the plain packet. The header and a
// tag fit into b.
func (c *cipher) openRTP(b []byte, header int, ssrc uint32, index uint64) (int, bool) {
	if c.cm == nil {
		_, err := c.gcm.Open(b[header:header], c.nonceRTP(ssrc, index), b[header:], b[:header])
		return len(b) - gcmTag, err == nil
	}
	n := len(b) - cmTag
	c.cm.sum(b[:n], uint32(index>>16))
	if subtle.ConstantTimeCompare(b[n:], c.cm.code[:cmTag]) != 1 {
		return 0, false
	}
	c.cm.encrypt(b[header:n], &c.salt, ssrc, index)
	return n, true
}

// sealRTCP seals b[:n] and returns its new length. There is room. GCM puts its
// tag before the index, HMAC after it.
func (c *cipher) sealRTCP(b []byte, n int, index uint32) int {
	ssrc := binary.BigEndian.Uint32(b[4:])
	if c.cm == nil {
		nonce := c.nonceRTCP(ssrc, index)
		c.gcm.Seal(b[rtcpHeader:rtcpHeader], nonce, b[rtcpHeader:n], c.associated(b, index|encrypted))
		n += gcmTag
		binary.BigEndian.PutUint32(b[n:], index|encrypted)
		return n + rtcpIndex
	}
	c.cm.encrypt(b[rtcpHeader:n], &c.salt, ssrc, uint64(index))
	c.cm.sum(b[:n], index|encrypted)
	binary.BigEndian.PutUint32(b[n:], index|encrypted)
	n += rtcpIndex
	return n + copy(b[n:n+cmTag], c.cm.code[:])
}

// openRTCP opens b and returns its index and the length of the plain packet. What
// is not encrypted is refused: no WebRTC endpoint sends it. So is, before any
// work, an index that w knows.
func (c *cipher) openRTCP(b []byte, w *window) (index uint32, n int, ok bool) {
	at := len(b) - rtcpIndex
	if c.cm != nil {
		at -= cmTag
	}
	word := binary.BigEndian.Uint32(b[at:])
	index = word &^ encrypted
	if word&encrypted == 0 {
		return index, 0, false
	}
	if !w.fresh(uint64(index)) {
		return index, 0, true // the caller refuses it
	}
	ssrc := binary.BigEndian.Uint32(b[4:])
	if c.cm == nil {
		_, err := c.gcm.Open(b[rtcpHeader:rtcpHeader], c.nonceRTCP(ssrc, index), b[rtcpHeader:at], c.associated(b, word))
		return index, at - gcmTag, err == nil
	}
	c.cm.sum(b[:at], word)
	if subtle.ConstantTimeCompare(b[at+rtcpIndex:], c.cm.code[:cmTag]) != 1 {
		return index, 0, false
	}
	c.cm.encrypt(b[rtcpHeader:at], &c.salt, ssrc, uint64(index))
	return index, at, true
}

// associated is what GCM authenticates of an RTCP packet without encrypting it
// (RFC 7714, section 9.2).
func (c *cipher) associated(b []byte, word uint32) []byte {
	copy(c.extra[:], b[:rtcpHeader])
	binary.BigEndian.PutUint32(c.extra[rtcpHeader:], word)
	return c.extra[:]
}

// counterMode is AES in counter mode with HMAC-SHA1 (RFC 3711, sections 4.1.1 and
// 4.2.1). It encrypts block by block because the standard library's counter mode
// allocates 512 bytes each time it begins with another counter.
type counterMode struct {
	block   gocipher.Block
	mac     hash.Hash
	counter [aes.BlockSize]byte
	stream  [aes.BlockSize * 16]byte
	word    [4]byte
	code    [authLen]byte
}

// encrypt encrypts or decrypts p.
func (m *counterMode) encrypt(p []byte, salt *[14]byte, ssrc uint32, index uint64) {
	m.counter = [aes.BlockSize]byte{}
	copy(m.counter[:], salt[:])
	for i := range 4 {
		m.counter[4+i] ^= byte(ssrc >> (24 - 8*i))
	}
	for i := range 6 {
		m.counter[8+i] ^= byte(index >> (40 - 8*i))
	}
	for block := uint16(0); len(p) > 0; {
		n := min(len(p), len(m.stream))
		for at := 0; at < n; at += aes.BlockSize {
			binary.BigEndian.PutUint16(m.counter[14:], block)
			m.block.Encrypt(m.stream[at:at+aes.BlockSize], m.counter[:])
			block++
		}
		subtle.XORBytes(p[:n], p[:n], m.stream[:n])
		p = p[n:]
	}
}

// sum computes the authentication code of b and a word that follows it.
func (m *counterMode) sum(b []byte, word uint32) {
	m.mac.Reset()
	m.mac.Write(b)
	binary.BigEndian.PutUint32(m.word[:], word)
	m.mac.Write(m.word[:])
	m.mac.Sum(m.code[:0])
}
