// Command gen writes the TypeScript side of the contract: the types of every
// message that a browser sends or receives, one union per border and direction,
// each message told apart by the literal in its action field, and the bounds that
// a browser must keep to.
//
// It reads the source of package events for names, order and doc comments, and
// the package itself for which message crosses which border. Both sides have one
// source of truth, and a test compares the committed file with what this command
// would write.
//
// Usage, from the root of the module:
//
//	go run ./events/gen > sdk/src/events.ts
package main

import (
	"fmt"
	"os"
)

func main() {
	source, err := generate("events")
	if err != nil {
		fmt.Fprintln(os.Stderr, "events/gen:", err)
		os.Exit(1)
	}
	if _, err := os.Stdout.Write(source); err != nil {
		fmt.Fprintln(os.Stderr, "events/gen:", err)
		os.Exit(1)
	}
}
