// Package events is the contract of Spillway: every message that crosses a
// process border, with its version, its size bound and its validation.
//
// There are four borders:
//
//   - client: browser ↔ API Gateway (client.go)
//   - node: sfu-node ↔ API Gateway (node.go, beat.go, offer.go, pipe.go)
//   - channel: SDK ↔ sfu-node, over the data channel "control" (channel.go)
//   - bus: event bus and timer → the fleet function (bus.go)
//
// Every message is one JSON object. Its field "action" names it, because that
// is what API Gateway's route selection expression reads; "v" is [Version].
// Receivers ignore fields they do not know, so that a field can be added
// without a new version, and refuse a version they do not know.
//
// Messages carry state, not changes, wherever that is possible, with a
// revision or sequence number by which a receiver ignores what is older than
// what it has.
//
// The package imports the standard library only. The TypeScript types of the
// SDK are generated from it.
package events
