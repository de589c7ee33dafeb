package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events"
)

func TestEmptyListsAreWrittenAsArrays(t *testing.T) {
	for _, m := range []events.Message{
		events.Tracks{}, events.Want{}, events.Snapshot{}, events.Streams{}, events.Speakers{}, events.Layers{}, events.Hello{},
		events.Assignment{}, events.Join{}, events.Delta{Changed: []events.Member{{}}}, events.Offer{},
		events.Heartbeat{Inventory: &events.Inventory{}}, events.Answer{ICEServers: []events.ICEServer{{}}},
	} {
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), "null") {
			t.Errorf("%T: %s", m, raw)
		}
	}
}

func TestRequestID(t *testing.T) {
	for raw, want := range map[string]string{
		`{"id":"r-1","action":5}`: "r-1",
		`{"action":"join"}`:       "",
		`{"id":7}`:                "",
		`{"id":"a\nb"}`:           "",
		`{"id":"` + strings.Repeat("x", 65) + `"}`: "",
		`{"id":"r-1"`: "",
		`[]`:          "",
		`{"id":"r","x":"` + strings.Repeat("x", 1<<17) + `"}`: "",
	} {
		if got := events.RequestID([]byte(raw)); got != want {
			t.Errorf("%.80s: got %q, want %q", raw, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	e := events.Errorf(events.CodeBusy, "%s", strings.Repeat("é", 1000)+"\xff")
	if err := e.Validate(); err != nil {
		t.Errorf("a long text: %v", err)
	}
	named := e.For("r-1")
	if named.ID != "r-1" || e.ID != "" {
		t.Errorf("For gave %q and left %q", named.ID, e.ID)
	}
	var target *events.Error
	if !errors.As(fmt.Errorf("post answer: %w", e), &target) || target.Code != events.CodeBusy {
		t.Error("the code was lost in wrapping")
	}
	if got := events.Errorf(events.CodeBusy, "later").Error(); got != "busy: later" {
		t.Errorf("got %q", got)
	}
	for code, want := range map[events.Code]bool{
		events.CodeNoCapacity: true, events.CodeNodeGone: true, events.CodeNodeUnreachable: true, events.CodeBusy: true,
		events.CodeInternal: true, events.CodeRoomFull: false, events.CodeBadField: false, events.CodeReplaced: false,
	} {
		if got := code.Retryable(); got != want {
			t.Errorf("%s: retryable is %v", code, got)
		}
	}
}

// The largest of each kind that the bounds on fields allow must fit the border:
// otherwise a valid state could not be said.
func TestTheLargestMessagesFit(t *testing.T) {
	name := func(i int) string { return fmt.Sprintf("%0*d", events.MaxName, i) }
	streams := events.Streams{Header: events.Head(events.ActionStreams), Revision: 1 << 52}
	for i := range events.MaxAudioStreams + events.MaxVideoStreams {
		streams.Streams = append(streams.Streams, events.Stream{
			Mid: fmt.Sprint(i), Participant: name(i), Source: events.ScreenAudio, CSRC: 1<<32 - 1, Timestamp: 1<<32 - 1, Paused: true})
	}
	member := events.Member{Identity: name(1), Name: name(2), Metadata: strings.Repeat(`"`, events.MaxMetadata), Role: events.Publisher,
		Node: name(3)[:events.MaxID], JoinedMs: 1 << 52, Tracks: []events.Track{
			{Source: events.Microphone}, {Source: events.Camera}, {Source: events.Screen}, {Source: events.ScreenAudio}}}
	beat := events.Heartbeat{Header: events.Head(events.ActionHeartbeat), Node: name(0)[:events.MaxID], Generation: 1 << 52, Seq: 1 << 52,
		Load: events.Load{Kbps: 1 << 52, PPS: 1 << 52}, People: 1_000_000, Rooms: 1_000_000, CPUPercent: 100,
		Inventory: &events.Inventory{TakenMs: 1 << 52, Parts: 1}}
	for i := range events.MaxInventoryMembers {
		// One room each, as short as names that differ can be.
		beat.Inventory.Rooms = append(beat.Inventory.Rooms, events.RoomMembers{
			Room: fmt.Sprintf("%0*d", events.MaxInventoryNames/events.MaxInventoryMembers, i), Members: map[string]int64{fmt.Sprintf("%016d", i): 1 << 40}, Epoch: 1 << 30})
	}
	for b, m := range map[events.Border]events.Message{
		events.ToSDK:    streams,
		events.FromNode: beat,
	} {
		fits(t, b, m)
	}
	fits(t, events.ToSDK, events.Snapshot{Header: events.Head(events.ActionSnapshot), Parts: 1, Room: name(1), Self: name(2), Members: []events.Member{member}})
	fits(t, events.ToSDK, events.Delta{Header: events.Head(events.ActionDelta), Seq: 1, Changed: []events.Member{member}})
}

func fits(t *testing.T, b events.Border, m events.Message) {
	t.Helper()
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := events.Decode(b, raw); err != nil {
		t.Errorf("%T of %d bytes: %v", m, len(raw), err)
	}
}
