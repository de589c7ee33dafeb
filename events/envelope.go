package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
)

// Version is the protocol version that this code speaks.
const Version = 1

// Bounds in bytes. API Gateway takes messages of 128 KB in frames of 32 KB; a
// browser cannot split a message into frames, so what it sends must fit one.
const (
	MaxFrame   = 32 << 10  // one WebSocket frame, and so one message from a browser or node
	MaxMessage = 128 << 10 // one WebSocket message of several frames, and one post to a connection
	MaxChannel = 16 << 10  // one message on the data channel
	MaxSDP     = 192 << 10 // a session description after inflating
)

// Bounds on names, in bytes of UTF-8, and on counts.
const (
	MaxName         = 128  // identity, display name, room name
	MaxMetadata     = 2048 // a participant's metadata
	MaxRoomMetadata = 1024 // a room's
	MaxID           = 64   // request, session, boot and node ids
	MaxTicket       = 2048 // what goes with an offer and comes back with its answer
	MaxText         = 1024 // the text of an error
	MaxToken        = 8192 // a token: it travels in the query of a handshake
	MaxAudioStreams = 16
	MaxVideoStreams = 49
	MaxAvoid        = 8
)

// Action names a message.
type Action string

// Border is where a message crosses from one process to another, with its
// direction.
type Border string

// The borders that take messages from outside, each with its own set of
// actions.
const (
	FromClient Border = "client→gateway"
	ToClient   Border = "gateway→client"
	FromNode   Border = "node→gateway"
	ToNode     Border = "gateway→node"
	FromSDK    Border = "sdk→node"
	ToSDK      Border = "node→sdk"
	FromBus    Border = "bus→fleet"
)

// Message is anything that crosses a border.
type Message interface {
	// Validate reports the first thing wrong with the message as an [*Error]
	// whose text names the field. It checks what can be known from the message
	// alone.
	Validate() error
}

// Header is what every message begins with.
type Header struct {
	Action Action `json:"action"`
	V      int    `json:"v"`
}

func (h Header) check(want Action) error {
	if h.Action != want {
		return badField("action", "is %.64q, expected %q", string(h.Action), string(want))
	}
	if h.V != Version {
		return Errorf(CodeBadVersion, "v is %d, this side speaks %d", h.V, Version)
	}
	return nil
}

// Head makes the header of a message of this version.
func Head(action Action) Header { return Header{Action: action, V: Version} }

// borders lists, for each border, the messages that may cross it and the
// bound on their size.
var borders = map[Border]struct {
	max      int
	messages map[Action]Message
}{
	FromClient: {MaxFrame, map[Action]Message{ActionJoin: Join{}, ActionLeave: Leave{}, ActionRenew: Renew{}}},
	ToClient: {MaxMessage, map[Action]Message{
		ActionAnswer: Answer{}, ActionWaiting: Waiting{}, ActionReady: Ready{}, ActionLeft: LeaveDone{}, ActionResume: Resume{}, ActionError: Error{}}},
	FromNode: {MaxFrame, map[Action]Message{
		ActionHello: Hello{}, ActionHeartbeat: Heartbeat{}, ActionAnswered: Answered{}, ActionLeft: Left{}, ActionJournal: Journal{},
		ActionModerate: ModerateFor{}, ActionMetrics: Metrics{}}},
	ToNode: {MaxMessage, map[Action]Message{
		ActionWelcome: Welcome{}, ActionRenewed: Renewed{}, ActionOffer: Offer{}, ActionRemove: Remove{}, ActionMove: MoveAway{},
		ActionShutdown: Shutdown{}, ActionAssignment: Assignment{},
		ActionModerated: Moderated{}, ActionRole: Recast{}, ActionMute: MuteTracks{}, ActionEnd: End{}, ActionDescribe: DescribeFor{}, ActionDescribeRoom: RoomDescribed{}, ActionError: Error{}}},
	FromSDK: {MaxChannel, map[Action]Message{
		ActionTracks: Tracks{}, ActionWant: Want{}, ActionPing: Ping{}, ActionResync: Resync{}, ActionGoodbye: Goodbye{},
		ActionModerate: Moderate{}, ActionData: Data{}, ActionDescribe: Describe{}, ActionStats: Stats{}}},
	ToSDK: {MaxChannel, map[Action]Message{
		ActionSnapshot: Snapshot{}, ActionDelta: Delta{}, ActionStreams: Streams{}, ActionSpeakers: Speakers{}, ActionLayers: Layers{},
		ActionPong: Pong{}, ActionMove: Move{}, ActionClosing: Closing{}, ActionModerated: Done{}, ActionMute: Muted{}, ActionData: DataFrom{}, ActionError: Error{}}},
	FromBus: {MaxMessage, map[Action]Message{ActionSweep: Sweep{}, ActionCapacity: CapacityRequested{}}},
}

// Messages returns the messages that may cross the border b, by action, each as
// a zero value of its type.
func Messages(b Border) map[Action]Message { return maps.Clone(borders[b].messages) }

// Bound returns the bytes that a message may have to cross the border b.
func Bound(b Border) int { return borders[b].max }

// Decode reads one message that crossed the border b and validates it. The
// result is a value of the message's type (Join, not *Join). Its error is
// always an [*Error] that is safe to send back to whoever sent raw.
func Decode(b Border, raw []byte) (Message, error) {
	border, ok := borders[b]
	if !ok {
		return nil, Errorf(CodeInternal, "no such border")
	}
	if len(raw) > border.max {
		return nil, Errorf(CodeTooLarge, "message of %d bytes, at most %d are taken", len(raw), border.max)
	}
	var h Header
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, jsonError(err)
	}
	if h.Action == "" {
		return nil, badField("action", "is missing")
	}
	// Before the action, because another version may have other actions.
	if h.V != Version {
		return nil, Errorf(CodeBadVersion, "v is %d, this side speaks %d", h.V, Version)
	}
	proto, ok := border.messages[h.Action]
	if !ok {
		return nil, Errorf(CodeUnknownAction, "unknown action %.64q", string(h.Action))
	}
	into := reflect.New(reflect.TypeOf(proto))
	if err := json.Unmarshal(raw, into.Interface()); err != nil {
		return nil, jsonError(err)
	}
	m := into.Elem().Interface().(Message)
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return m, nil
}

// RequestID digs the request id out of a message that may be malformed
// otherwise, so that the error it earns can name the request. It is empty when
// there is none.
func RequestID(raw []byte) string {
	var m struct {
		ID string `json:"id"`
	}
	if len(raw) > MaxMessage || json.Unmarshal(raw, &m) != nil || bounded("id", m.ID, 1, MaxID) != nil {
		return ""
	}
	return m.ID
}

func jsonError(err error) error {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		field := typ.Field
		if field == "" {
			return Errorf(CodeBadJSON, "expected a JSON object, got %.32s", typ.Value)
		}
		// The value of a number is the whole literal, however long.
		return badField(field, "is %.32s, expected %s", typ.Value, kindName(typ.Type))
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return Errorf(CodeBadJSON, "not JSON: error at byte %d", syntax.Offset)
	}
	return Errorf(CodeBadJSON, "not JSON")
}

// kindName names a Go type in JSON's words.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return "an object"
	default:
		return "a number in range"
	}
}

func badField(field, format string, args ...any) *Error {
	return Errorf(CodeBadField, "%s %s", field, fmt.Sprintf(format, args...))
}
