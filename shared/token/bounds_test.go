package token_test

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/token"
)

// Package token does not import package events; here is where the two are held
// together.

func TestCodesAreThoseOfTheContract(t *testing.T) {
	for _, pair := range []struct {
		err  *token.Error
		code events.Code
	}{
		{token.ErrMissing, events.CodeTokenMissing},
		{token.ErrMalformed, events.CodeTokenMalformed},
		{token.ErrAlgorithm, events.CodeTokenAlgorithm},
		{token.ErrSignature, events.CodeTokenSignature},
		{token.ErrExpired, events.CodeTokenExpired},
		{token.ErrNotYetValid, events.CodeTokenNotYetValid},
		{token.ErrWrongRoom, events.CodeTokenWrongRoom},
		{token.ErrWrongKind, events.CodeTokenWrongKind},
		{token.ErrNoPermission, events.CodeTokenNoPermission},
		{token.ErrTicket, events.CodeBadField},
	} {
		if pair.err.Code != string(pair.code) {
			t.Errorf("%s should be %s", pair.err.Code, pair.code)
		}
	}
	for mine, theirs := range map[token.Source]events.Source{
		token.Microphone: events.Microphone, token.Camera: events.Camera, token.Screen: events.Screen, token.ScreenAudio: events.ScreenAudio,
	} {
		if string(mine) != string(theirs) {
			t.Errorf("source %s should be %s", mine, theirs)
		}
	}
}

// Whatever a token may say must fit into the messages that it goes into.
func TestBoundsAreThoseOfTheContract(t *testing.T) {
	secret := string(make([]byte, token.MinSecret))
	expires := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	mint := func(identity, name, room, metadata int) error {
		_, err := token.Mint("A", secret, token.Claims{
			Identity: letters(identity), Name: letters(name), Room: letters(room), Metadata: letters(metadata), Join: true, Expires: expires})
		return err
	}
	if err := mint(events.MaxName, events.MaxName, events.MaxName, events.MaxMetadata); err != nil {
		t.Error(err)
	}
	for _, over := range [][4]int{
		{events.MaxName + 1, 0, 1, 0}, {1, events.MaxName + 1, 1, 0}, {1, 0, events.MaxName + 1, 0}, {1, 0, 1, events.MaxMetadata + 1},
	} {
		if mint(over[0], over[1], over[2], over[3]) == nil {
			t.Errorf("%v bytes were taken", over)
		}
	}
	if token.MaxToken != events.MaxToken || token.MaxTicket != events.MaxTicket {
		t.Error("MaxToken or MaxTicket differs")
	}
	root := token.Root(make([]byte, token.RootSize))
	if _, err := root.MintNode(letters(events.MaxID), expires, time.Hour); err != nil {
		t.Error(err)
	}
	if _, err := root.MintNode(letters(events.MaxID+1), expires, time.Hour); err == nil {
		t.Error("a node id over the contract's bound was taken")
	}
	if n := len(root.ParticipantKey("r", "i")); n > events.MaxID {
		t.Errorf("participant keys have %d bytes", n)
	}
}

func letters(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a'
	}
	return string(b)
}
