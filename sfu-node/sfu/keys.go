package sfu

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"sync"

	"github.com/pion/dtls/v3/pkg/crypto/prf"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"

	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

// agreement watches one DTLS handshake for what SRTP's keys follow from. The
// WebRTC stack keeps them to itself, but shows the message in which we, the
// server, choose profile and random bytes, and logs the master secret.
type agreement struct {
	done func(client, server seal.Key, err error) // called once

	mu      sync.Mutex
	random  [handshake.RandomLength]byte
	suite   uint16
	profile seal.Profile
	once    sync.Once
}

// hello sees the ServerHello, and passes it on as it is.
func (a *agreement) hello(m handshake.MessageServerHello) handshake.Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.random = m.Random.MarshalFixed()
	if m.CipherSuiteID != nil {
		a.suite = *m.CipherSuiteID
	}
	for _, e := range m.Extensions {
		if srtp, ok := e.(*extension.UseSRTP); ok && len(srtp.ProtectionProfiles) == 1 {
			a.profile = seal.Profile(srtp.ProtectionProfiles[0])
		}
	}
	return &m
}

// Write takes a line of the key log: a label, the client's random bytes and the
// master secret.
func (a *agreement) Write(line []byte) (int, error) {
	fields := strings.Fields(string(line))
	if len(fields) != 3 || fields[0] != "CLIENT_RANDOM" {
		return len(line), nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.once.Do(func() { a.done(a.keys(fields[1], fields[2])) })
	return len(line), nil
}

// keys exports SRTP's keys from the handshake (RFC 5705, section 4; RFC 5764,
// section 4.2).
func (a *agreement) keys(clientRandom, masterSecret string) (client, server seal.Key, err error) {
	random, err := hex.DecodeString(clientRandom)
	if err != nil {
		return client, server, fmt.Errorf("client random of the key log: %w", err)
	}
	secret, err := hex.DecodeString(masterSecret)
	if err != nil {
		return client, server, fmt.Errorf("master secret of the key log: %w", err)
	}
	seed := append([]byte(seal.ExporterLabel), random...)
	seed = append(seed, a.random[:]...)
	material, err := prf.PHash(secret, seed, a.profile.ExportLen(), prfHash(a.suite))
	if err != nil {
		return client, server, fmt.Errorf("export keys: %w", err)
	}
	return seal.Split(a.profile, material)
}

// prfHash is the hash of a cipher suite's pseudorandom function (RFC 5246,
// section 5; RFC 5289, section 3.2).
func prfHash(suite uint16) func() hash.Hash {
	const (
		ecdsaAES256GCM = 0xc02c
		rsaAES256GCM   = 0xc030
	)
	if suite == ecdsaAES256GCM || suite == rsaAES256GCM {
		return sha512.New384
	}
	return sha256.New
}

// protect takes the keys of the handshake: we are its server.
func (p *Peer) protect(client, server seal.Key, err error) {
	var sealer *seal.Sealer
	var opener *seal.Opener
	if err == nil {
		sealer, err = seal.NewSealer(server)
	}
	if err == nil {
		opener, err = seal.NewOpener(client)
	}
	if err != nil {
		p.sfu.log.Error("a handshake gave no keys for media", "room", p.seat.room, "key", p.seat.key, "error", err)
		return
	}
	p.egress.mu.Lock()
	p.egress.sealer = sealer
	p.egress.mu.Unlock()
	p.intake.mu.Lock()
	p.intake.opener = opener
	p.intake.mu.Unlock()
}
