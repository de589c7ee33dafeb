package main_test

import (
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/token"
)

func TestATokenSaysWhatItsRoomIs(t *testing.T) {
	const room = "wished"
	small := func(c *token.Claims) { c.RoomPreset, c.RoomConfig = "meeting", []byte(`{"maxParticipants":1}`) }
	_, ann := peer(t, "wished-ann")
	admitted(t, dial(t, mint(t, room, "ann", small)), ann)
	var got struct{ MaxParticipants, MaxPublishers int }
	if err := system.Call(t.Context(), "GET", "/v1/rooms/"+room, &got); err != nil || got.MaxParticipants != 1 || got.MaxPublishers != 1 {
		t.Errorf("the room is %+v, %v", got, err)
	}
	large := func(c *token.Claims) { c.RoomPreset = "townhall" }
	for name, c := range map[string]struct {
		token string
		code  events.Code
	}{
		"a later token that says nothing": {mint(t, room, "bob"), events.CodeRoomFull},
		"a later token that says more":    {mint(t, room, "cas", large), events.CodeRoomFull},
		"a preset that there is not":      {mint(t, room, "dan", func(c *token.Claims) { c.RoomPreset = "party" }), events.CodeTokenMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, j := peer(t, "wished-late")
			conn := dial(t, c.token)
			if err := conn.Send(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			wantError(t, conn, c.code)
		})
	}
}
