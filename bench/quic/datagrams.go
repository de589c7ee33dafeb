package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

const protocol = "rtp-over-quic"

// maxWaiting is how many packets wait for a congestion controller that holds them
// back; what comes when so many do is given up.
const maxWaiting = 128

// datagrams carries by RTP in QUIC datagrams. A full queue blocks who sends, and
// whoever forwards media must not be blocked: where a way is shaped, a goroutine of
// its own is blocked, for a hand-over of each packet.
type datagrams struct {
	transports [2]*quic.Transport
	sockets    [2]net.PacketConn
	conns      [2]*quic.Conn
	way        *way
	sequence   []uint16
	waiting    chan []byte // nil where packets are sent at once
	working    sync.WaitGroup
}

func newDatagrams(ctx context.Context, flows int, s shape, take taker) (carrier, error) {
	d := &datagrams{sequence: make([]uint16, flows)}
	if err := d.connect(ctx, s); err != nil {
		d.close()
		return nil, err
	}
	d.working.Go(func() {
		for {
			b, err := d.conns[1].ReceiveDatagram(context.Background())
			if err != nil {
				return // closed
			}
			take(b[headerBytes:])
		}
	})
	if s != (shape{}) {
		d.waiting = make(chan []byte, maxWaiting)
		d.working.Go(func() {
			for b := range d.waiting {
				if d.conns[0].SendDatagram(b) != nil {
					return
				}
			}
		})
	}
	return d, nil
}

func (d *datagrams) connect(ctx context.Context, s shape) error {
	certificate, _, err := certify()
	if err != nil {
		return err
	}
	for i := range d.sockets {
		if d.sockets[i], err = net.ListenUDP("udp4", &net.UDPAddr{IP: local.AsSlice()}); err != nil {
			return err
		}
		d.transports[i] = &quic.Transport{Conn: d.sockets[i]}
	}
	// A packet with its headers must fit from the start; loopback carries it.
	config := &quic.Config{EnableDatagrams: true, InitialPacketSize: 1400, KeepAlivePeriod: time.Second}
	listener, err := d.transports[1].Listen(&tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{protocol}}, config)
	if err != nil {
		return err
	}
	to := d.sockets[1].LocalAddr().(*net.UDPAddr)
	if s != (shape{}) {
		if d.way, err = newWay(s, to.Port, 0); err != nil {
			return err
		}
		to = &net.UDPAddr{IP: local.AsSlice(), Port: d.way.port()}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// Who the other is makes no difference to a packet, so nobody looks.
	if d.conns[0], err = d.transports[0].Dial(ctx, to, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}, config); err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	d.conns[1], err = listener.Accept(ctx)
	return err
}

func (d *datagrams) send(flow int, timestamp uint32, payloads [][]byte) (unsent int) {
	for i, payload := range payloads {
		d.sequence[flow]++
		b := make([]byte, headerBytes, headerBytes+len(payload)) // the library keeps it
		b[0], b[1] = 2<<6, 96
		if i == len(payloads)-1 {
			b[1] |= 0x80
		}
		binary.BigEndian.PutUint16(b[2:], d.sequence[flow])
		binary.BigEndian.PutUint32(b[4:], timestamp)
		binary.BigEndian.PutUint32(b[8:], uint32(flow))
		b = append(b, payload...)
		switch {
		case d.waiting != nil:
			select {
			case d.waiting <- b:
			default:
				unsent++
			}
		case d.conns[0].SendDatagram(b) != nil:
			unsent++
		}
	}
	return unsent
}

func (d *datagrams) close() {
	for _, c := range d.conns {
		if c != nil {
			_ = c.CloseWithError(0, "")
		}
	}
	if d.waiting != nil {
		close(d.waiting)
	}
	d.working.Wait()
	for i := range d.sockets {
		if d.transports[i] != nil {
			_ = d.transports[i].Close()
		}
		if d.sockets[i] != nil {
			_ = d.sockets[i].Close()
		}
	}
	if d.way != nil {
		d.way.close()
	}
}

func (d *datagrams) wire() int64 {
	if d.way == nil {
		return 0
	}
	return d.way.bytes.Load()
}
