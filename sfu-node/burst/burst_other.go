//go:build !linux

package burst

import "net"

// listen opens one socket: here several of a port do not divide what comes.
func listen(network string, at *net.UDPAddr, _ int) ([]*net.UDPConn, error) {
	c, err := net.ListenUDP(network, at)
	return []*net.UDPConn{c}, err
}

// Steer does nothing: [Listen] opens one socket.
func Steer([]*Conn, int) error { return nil }

func segments(*Conn) bool { return false }

// Writer writes bursts. It is for one goroutine at a time.
type Writer struct{ socket *Socket }

// NewWriter makes a writer.
func (s *Socket) NewWriter() (*Writer, error) { return &Writer{s}, nil }

// Write sends runs and returns how many datagrams the socket took.
func (w *Writer) Write(runs []Run) (sent int) {
	for _, r := range runs {
		for data := r.Data; len(data) > 0; {
			n := min(r.Size, len(data))
			if _, err := w.socket.conn.WriteToUDPAddrPort(data[:n], r.To); err == nil {
				sent++
			}
			data = data[n:]
		}
	}
	return sent
}
