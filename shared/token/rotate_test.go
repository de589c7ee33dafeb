package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"
	"time"
)

// A root is changed in three steps: the old one, both, the new one. What was made
// in one step is good in the next.
func TestARootIsChangedWithoutAPause(t *testing.T) {
	oldText := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, RootSize))
	newText := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{2}, RootSize))
	var steps []Root
	for _, text := range []string{oldText, newText + "\n" + oldText + "\n", newText} {
		root, err := ParseRoot(text)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, root)
	}
	before, during, after := steps[0], steps[1], steps[2]
	for _, c := range []struct {
		name          string
		makes, accept Root
	}{
		{"made before, used during", before, during}, {"made and used during", during, during},
		{"made during, used after", during, after}, {"made after, used where functions have not started anew", after, during},
	} {
		raw, err := c.makes.MintNode("n-1", noon, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if node, err := c.accept.VerifyNode(raw, noon); err != nil || node != "n-1" {
			t.Errorf("%s: node token: %q, %v", c.name, node, err)
		}
		ticket, err := c.makes.SealTicket("seat")
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := c.accept.OpenTicket(ticket, &got); err != nil || got != "seat" {
			t.Errorf("%s: ticket: %q, %v", c.name, got, err)
		}
	}
	if before.ParticipantKey("r", "ann") != during.ParticipantKey("r", "ann") {
		t.Error("a participant is somebody else while the root is being changed")
	}
	foreign := Root(bytes.Repeat([]byte{3}, RootSize))
	raw, err := foreign.MintNode("n-1", noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := during.VerifyNode(raw, noon); !errors.Is(err, ErrSignature) {
		t.Errorf("a third root's token: %v", err)
	}
	for _, text := range []string{"", oldText + " " + oldText + " " + oldText, oldText + " x"} {
		if _, err := ParseRoot(text); err == nil {
			t.Errorf("%q passes for a root", text)
		}
	}
}
