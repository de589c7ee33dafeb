package main

import (
	"net"
	"sync"
)

// ways are the ways of people to nodes, some of which are cut: nothing comes through
// from there and nothing gets there, and nobody is told.
type ways struct {
	mu  sync.Mutex
	cut map[string]bool // addresses of nodes
}

func (w *ways) isCut(a net.Addr) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut[a.String()]
}

// sever cuts all ways to an address.
func (w *ways) sever(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut == nil {
		w.cut = map[string]bool{}
	}
	w.cut[address] = true
}

// way is the socket of one connection.
type way struct {
	net.PacketConn
	of *ways

	mu   sync.Mutex
	from string // where the last packet came from
}

// open makes a socket on this machine's own address.
func (w *ways) open() (*way, error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &way{PacketConn: conn, of: w}, nil
}

// node is where the connection leads; empty before anything came from there.
func (w *way) node() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.from
}

// ReadFrom implements [net.PacketConn].
func (w *way) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := w.PacketConn.ReadFrom(b)
		if err != nil {
			return n, from, err
		}
		if w.of.isCut(from) {
			continue
		}
		w.mu.Lock()
		w.from = from.String()
		w.mu.Unlock()
		return n, from, nil
	}
}

// WriteTo implements [net.PacketConn].
func (w *way) WriteTo(b []byte, to net.Addr) (int, error) {
	if w.of.isCut(to) {
		return len(b), nil
	}
	return w.PacketConn.WriteTo(b, to)
}
