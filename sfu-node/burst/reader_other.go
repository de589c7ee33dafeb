//go:build !linux

package burst

import (
	"errors"
	"time"
)

const manyAtOnce = false

// many is not here.
type many struct{}

func (*many) prepare(*Reader) error { return nil }

func (*many) serve(*Reader, func(int) time.Time) error {
	return errors.New("burst: cannot read many at once here")
}
