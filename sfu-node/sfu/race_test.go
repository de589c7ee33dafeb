//go:build race

package sfu

// raced says that the race detector watches.
const raced = true
