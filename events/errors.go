package events

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// ActionError is the action of [Error].
const ActionError Action = "error"

// Code says what went wrong in a word that programs can compare. There is one
// code per thing that the receiver can do about it.
type Code string

// The codes. Those marked "retry" may go away by themselves.
const (
	// The message itself is wrong.
	CodeBadJSON       Code = "bad_json"       // not a JSON object
	CodeBadVersion    Code = "bad_version"    // another protocol version
	CodeUnknownAction Code = "unknown_action" // no such action here
	CodeBadField      Code = "bad_field"      // a field is missing, of a wrong type or out of bounds
	CodeTooLarge      Code = "too_large"      // more bytes than the border takes
	CodeBadOffer      Code = "bad_offer"      // the session description cannot be answered

	// The token is.
	CodeTokenMissing      Code = "token_missing"
	CodeTokenMalformed    Code = "token_malformed"     // not a JWT
	CodeTokenAlgorithm    Code = "token_algorithm"     // not HS256, "none" among them
	CodeTokenSignature    Code = "token_bad_signature" // minted with a key that this deployment does not have
	CodeTokenExpired      Code = "token_expired"       //
	CodeTokenNotYetValid  Code = "token_not_yet_valid" //
	CodeTokenWrongRoom    Code = "token_wrong_room"    // for another room
	CodeTokenWrongKind    Code = "token_wrong_kind"    // a node's token used by a browser, or the reverse
	CodeTokenNoPermission Code = "token_no_permission" // lacks the grant that the request needs
	CodeUnauthorized      Code = "unauthorized"        // HTTP API: API key missing or wrong

	// The room or the fleet cannot take this participant.
	CodeRoomFull        Code = "room_full"        // no seat is free: the room's own limit, or its node's
	CodeRoomTooLarge    Code = "room_too_large"   // more blocks or nodes than one room may have
	CodeStageFull       Code = "stage_full"       // the room's limit of publishers
	CodeNoCapacity      Code = "no_capacity"      // retry: no node has room and none can be launched now
	CodeBudgetExhausted Code = "budget_exhausted" // the deployment's own limit of nodes
	CodeNotFound        Code = "not_found"        // HTTP API: no such room or node
	CodeMethod          Code = "method_not_allowed"

	// The session is over.
	CodeNotJoined Code = "not_joined" // a leave without a join
	CodeReplaced  Code = "replaced"   // the same participant connected elsewhere
	CodeRemoved   Code = "removed"    // an administrator removed the participant
	CodeRoomEnded Code = "room_ended"
	CodeNodeGone  Code = "node_gone" // retry: the node stops; join again

	// The node is not what it believes to be.
	CodeFenced             Code = "fenced"              // another life of this node has taken over
	CodeLaunchExpired      Code = "launch_expired"      // hello came after the launch was given up
	CodeUnknownParticipant Code = "unknown_participant" // no such participant, or not on this node

	// Spillway is at fault, or busy.
	CodeNodeUnreachable Code = "node_unreachable" // retry
	CodeRateLimited     Code = "rate_limited"     // retry: the sender sends more than it may
	CodeBusy            Code = "busy"             // retry
	CodeInternal        Code = "internal"         // retry: details are in the log only
)

// Retryable reports whether the same request may succeed later without any
// change by whoever sent it.
func (c Code) Retryable() bool {
	switch c {
	case CodeNoCapacity, CodeNodeGone, CodeNodeUnreachable, CodeRateLimited, CodeBusy, CodeInternal:
		return true
	}
	return false
}

// Error is the answer to a message that could not be served, on every border,
// and a Go error. Text is for people; it never holds a secret, a stack trace or
// another system's message.
type Error struct {
	Header
	// ID is the request's, empty where there was none to read.
	ID   string `json:"id,omitempty"`
	Code Code   `json:"code"`
	Text string `json:"text"`
	// RetryAfterMs is when the same request may succeed, in milliseconds; 0 when
	// it cannot without a change.
	RetryAfterMs int64 `json:"retryAfterMs,omitempty"`
}

// Errorf makes an Error. A text longer than [MaxText] is cut.
func Errorf(code Code, format string, args ...any) *Error {
	text := strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD")
	for len(text) > MaxText {
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	return &Error{Header: Head(ActionError), Code: code, Text: text}
}

// Error gives code and text.
func (e Error) Error() string { return string(e.Code) + ": " + e.Text }

// For returns a copy of the error that names the request it answers.
func (e Error) For(id string) Error {
	e.ID = id
	return e
}

// Validate implements [Message].
func (e Error) Validate() error {
	if err := e.check(ActionError); err != nil {
		return err
	}
	return firstOf(
		bounded("id", e.ID, 0, MaxID),
		bounded("code", string(e.Code), 1, MaxID),
		text("text", e.Text, MaxText),
		inRange("retryAfterMs", e.RetryAfterMs, 0, 3_600_000),
	)
}
