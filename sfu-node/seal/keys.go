package seal

import (
	"crypto/aes"
	gocipher "crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"fmt"
)

// Profile is an SRTP protection profile by its DTLS-SRTP number (RFC 5764,
// section 4.1.2; RFC 7714, section 14.2).
type Profile uint16

// The profiles, by preference: AES-GCM costs a sixth of AES-CM with HMAC.
const (
	AES128GCM Profile = 0x0007
	AES256GCM Profile = 0x0008
	AES128CM  Profile = 0x0001 // with HMAC-SHA1 of 80 bits
)

var profiles = map[Profile]struct {
	name      string
	key, salt int // bytes
}{
	AES128GCM: {"AEAD_AES_128_GCM", 16, 12},
	AES256GCM: {"AEAD_AES_256_GCM", 32, 12},
	AES128CM:  {"AES128_CM_HMAC_SHA1_80", 16, 14},
}

// ExporterLabel is the label under which DTLS exports SRTP's keys (RFC 5764,
// section 4.2).
const ExporterLabel = "EXTRACTOR-dtls_srtp"

// ExportLen is how many bytes of keying material DTLS exports for a profile; 0
// when the profile is unknown.
func (p Profile) ExportLen() int {
	d := profiles[p]
	return 2 * (d.key + d.salt)
}

// Key is the master key and salt of one direction.
type Key struct {
	Profile Profile
	Key     []byte
	Salt    []byte
}

// Split divides exported keying material (RFC 5764, section 4.2) into the key
// that the DTLS client seals with and that of the server.
func Split(p Profile, material []byte) (client, server Key, err error) {
	d, ok := profiles[p]
	if !ok {
		return client, server, fmt.Errorf("seal: %v is not known", p)
	}
	if len(material) != p.ExportLen() {
		return client, server, fmt.Errorf("seal: %d bytes of keying material, %v takes %d", len(material), p, p.ExportLen())
	}
	take := func(n int) []byte {
		part := material[:n:n]
		material = material[n:]
		return part
	}
	client, server = Key{Profile: p}, Key{Profile: p}
	client.Key, server.Key = take(d.key), take(d.key)
	client.Salt, server.Salt = take(d.salt), take(d.salt)
	return client, server, nil
}

// The labels of key derivation (RFC 3711, section 4.3).
const (
	labelRTPKey = iota
	labelRTPAuth
	labelRTPSalt
	labelRTCPKey
	labelRTCPAuth
	labelRTCPSalt
)

const authLen = 20 // bytes of key for HMAC-SHA1

// ciphers derives the session keys of RTP and RTCP.
func (k Key) ciphers() (rtp, rtcp cipher, err error) {
	d, ok := profiles[k.Profile]
	if !ok {
		return rtp, rtcp, fmt.Errorf("seal: %v is not known", k.Profile)
	}
	if len(k.Key) != d.key || len(k.Salt) != d.salt {
		return rtp, rtcp, fmt.Errorf("seal: key of %d and salt of %d bytes, %v takes %d and %d", len(k.Key), len(k.Salt), k.Profile, d.key, d.salt)
	}
	if rtp, err = k.cipher(labelRTPKey, labelRTPAuth, labelRTPSalt); err != nil {
		return rtp, rtcp, err
	}
	rtcp, err = k.cipher(labelRTCPKey, labelRTCPAuth, labelRTCPSalt)
	return rtp, rtcp, err
}

func (k Key) cipher(key, auth, salt byte) (cipher, error) {
	var c cipher
	session, err := k.derive(key, len(k.Key))
	if err != nil {
		return c, err
	}
	own, err := k.derive(salt, len(k.Salt))
	if err != nil {
		return c, err
	}
	copy(c.salt[:], own)
	block, err := aes.NewCipher(session)
	if err != nil {
		return c, fmt.Errorf("seal: %w", err)
	}
	if k.Profile == AES128CM {
		code, err := k.derive(auth, authLen)
		if err != nil {
			return c, err
		}
		c.cm = &counterMode{block: block, mac: hmac.New(sha1.New, code)}
		return c, nil
	}
	if c.gcm, err = gocipher.NewGCM(block); err != nil {
		return c, fmt.Errorf("seal: %w", err)
	}
	return c, nil
}

// derive computes n bytes of the session key with a label, for a key derivation
// rate of 0 (RFC 3711, sections 4.3.1 and 4.3.3). GCM's shorter salt counts as
// filled up with zeros (RFC 7714, section 11).
func (k Key) derive(label byte, n int) ([]byte, error) {
	block, err := aes.NewCipher(k.Key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	var iv [aes.BlockSize]byte
	copy(iv[:], k.Salt)
	iv[7] ^= label
	out := make([]byte, n)
	gocipher.NewCTR(block, iv[:]).XORKeyStream(out, out)
	return out, nil
}
