package lightpeer

import (
	"errors"

	"github.com/pion/sctp"
)

// Close ends the connection and waits for its goroutines.
func (c *Client) Close() error {
	c.end()
	err := c.pc.GracefulClose()
	if errors.Is(err, sctp.ErrResetPacketInStateNotExist) {
		err = nil // the association was over before all of its streams were
	}
	if c.mux != nil {
		err = errors.Join(err, c.mux.Close())
	}
	return err
}
