package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

const (
	headerBytes = 12
	// memory is how many packets of a flow a node can repeat, as for video.
	memory = 256
)

// piped carries by a pipe between two nodes.
type piped struct {
	nodes    [2]*pipe.Mesh
	way      *way // nil when the nodes see each other
	flows    []*pipe.Flow
	sequence []uint16
}

// end is a node's handler.
type end struct{ up chan *pipe.Link }

func (e *end) Up(l *pipe.Link)             { e.up <- l }
func (*end) Down(*pipe.Link)               {}
func (*end) Take(*pipe.Link, pipe.Message) {}

// receiver takes one flow's packets.
type receiver struct{ take taker }

// Packet implements [pipe.Receiver].
func (r receiver) Packet(b []byte) bool {
	r.take(b[headerBytes:])
	return false
}

// Flush implements [pipe.Receiver].
func (receiver) Flush() {}

func newPiped(ctx context.Context, flows int, s shape, take taker) (carrier, error) {
	p := &piped{}
	var ends [2]*end
	var peers [2]pipe.Peer
	for i, name := range []string{"a", "b"} {
		certificate, print, err := certify()
		if err != nil {
			return nil, err
		}
		ends[i] = &end{up: make(chan *pipe.Link, 8)}
		if p.nodes[i], err = pipe.Listen(pipe.Config{
			Node: name, Certificate: certificate, Bind: netip.AddrPortFrom(local, 0), Log: slog.New(slog.DiscardHandler), Handler: ends[i],
		}); err != nil {
			p.close()
			return nil, err
		}
		peers[i] = pipe.Peer{Node: name, Generation: 1, Fingerprint: print, Addresses: []netip.AddrPort{netip.AddrPortFrom(local, uint16(p.nodes[i].Port()))}}
	}
	if s != (shape{}) {
		var err error
		if p.way, err = newWay(s, p.nodes[1].Port(), p.nodes[0].Port()); err != nil {
			p.close()
			return nil, err
		}
		peers[1].Addresses[0] = netip.AddrPortFrom(local, uint16(p.way.port()))
		peers[0].Addresses[0] = netip.AddrPortFrom(local, uint16(p.way.back()))
	}
	p.nodes[0].Assign(peers[1:])
	p.nodes[1].Assign(peers[:1])
	var links [2]*pipe.Link
	for i, e := range ends {
		select {
		case links[i] = <-e.up:
		case <-time.After(5 * time.Second):
			p.close()
			return nil, fmt.Errorf("the pipe does not come about")
		case <-ctx.Done():
			p.close()
			return nil, ctx.Err()
		}
	}
	for range flows {
		f, err := links[0].Open(links[1].Expect(500, receiver{take}), memory)
		if err != nil {
			p.close()
			return nil, err
		}
		p.flows = append(p.flows, f)
	}
	p.sequence = make([]uint16, flows)
	return p, nil
}

func (p *piped) send(flow int, timestamp uint32, payloads [][]byte) int {
	b := p.nodes[0].Batch()
	defer b.Release()
	b.Packets = b.Packets[:0]
	for i, payload := range payloads {
		p.sequence[flow]++
		b.Packets = append(b.Packets, pipe.Packet{
			Sequence: p.sequence[flow], Timestamp: timestamp, Type: 3, Marker: i == len(payloads)-1, Payload: payload,
		})
	}
	p.flows[flow].Send(b)
	return 0
}

func (p *piped) close() {
	for _, n := range p.nodes {
		if n != nil {
			n.Close()
		}
	}
	if p.way != nil {
		p.way.close()
	}
}

func (p *piped) wire() int64 {
	if p.way == nil {
		return 0
	}
	return p.way.bytes.Load()
}

// certify makes a certificate, and its fingerprint as assignments have it.
func certify() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	sum := sha256.Sum256(raw)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":"), nil
}
