// Package bench holds what the measurements share. Each is a command in a folder
// of its own, run by `make bench`; they report and never fail for being slow.
package bench

import (
	"fmt"
	"slices"
)

// Spread describes measurements in milliseconds by median, 95th percentile and
// maximum.
func Spread(ms []float64) string {
	if len(ms) == 0 {
		return "nothing measured"
	}
	ms = slices.Sorted(slices.Values(ms))
	at := func(q float64) float64 { return ms[int(q*float64(len(ms)-1)+0.5)] }
	return fmt.Sprintf("p50 %.1f ms, p95 %.1f ms, max %.1f ms", at(0.5), at(0.95), at(1))
}
