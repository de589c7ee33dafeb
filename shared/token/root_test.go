package token

import (
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestTickets(t *testing.T) {
	type ticket struct {
		Connection string
		At         int64
	}
	in := ticket{"abc=", 5}
	sealed, err := testRoot.SealTicket(in)
	if err != nil {
		t.Fatal(err)
	}
	var out ticket
	if err := testRoot.OpenTicket(sealed, &out); err != nil || out != in {
		t.Fatalf("got %+v, %v", out, err)
	}
	// Every byte counts.
	for i := range sealed {
		flipped := []byte(sealed)
		flipped[i] ^= 1
		into := ticket{"untouched", 1}
		if err := testRoot.OpenTicket(string(flipped), &into); !errors.Is(err, ErrTicket) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		if into != (ticket{"untouched", 1}) {
			t.Fatalf("byte %d flipped: read %+v", i, into)
		}
	}
	for name, s := range map[string]string{
		"empty": "", "cut": sealed[:20], "longer": sealed + "AAAA", "padded": sealed + "=", "not base64": "!!", "huge": strings.Repeat("A", 1<<20),
		"a node's key": sealWith(t, "node token", `{"Connection":"x"}`),
	} {
		if err := testRoot.OpenTicket(s, &out); !errors.Is(err, ErrTicket) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := otherRoot.OpenTicket(sealed, &out); !errors.Is(err, ErrTicket) {
		t.Errorf("another deployment's: %v", err)
	}
	var wrong struct{ Connection int }
	if err := testRoot.OpenTicket(sealed, &wrong); !errors.Is(err, ErrTicket) {
		t.Errorf("another type: %v", err)
	}
	if s, err := testRoot.SealTicket(strings.Repeat("x", MaxTicket)); err == nil {
		t.Errorf("sealed %d bytes", len(s))
	}
	if s, err := testRoot.SealTicket(func() {}); err == nil {
		t.Errorf("sealed a function: %s", s)
	}
	if s, err := (Root{}).SealTicket(in); err == nil {
		t.Errorf("sealed without a root: %s", s)
	}
}

// sealWith seals with the key of another use of the same root.
func sealWith(t *testing.T, use, body string) string {
	t.Helper()
	key, err := testRoot.derive(use)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(append(sum(key, []byte(body)), body...))
}

func TestParticipantKeys(t *testing.T) {
	shape := regexp.MustCompile(`^[a-z2-7]{16}$`)
	seen := map[string][2]string{}
	for _, pair := range [][2]string{
		{"", ""}, {"a", ""}, {"", "a"}, {"ab", "c"}, {"a", "bc"}, {"abc", ""}, {"", "abc"}, {"a", "b"}, {"b", "a"}, {"a\x00b", "c"}, {"a", "b\x00c"},
		{strings.Repeat("r", 128), "x"}, {strings.Repeat("r", 127), "rx"},
	} {
		key := testRoot.ParticipantKey(pair[0], pair[1])
		if !shape.MatchString(key) {
			t.Errorf("%q: key %q", pair, key)
		}
		if other, taken := seen[key]; taken {
			t.Errorf("%q and %q share %s", pair, other, key)
		}
		seen[key] = pair
		if testRoot.ParticipantKey(pair[0], pair[1]) != key {
			t.Errorf("%q: two keys", pair)
		}
		if otherRoot.ParticipantKey(pair[0], pair[1]) == key {
			t.Errorf("%q: the same key in another deployment", pair)
		}
	}
	// Items hold these keys: a change of the derivation would orphan every one.
	if got := testRoot.ParticipantKey("lounge", "ada"); got != "nm6hmlt7pwfdemvy" {
		t.Errorf("the derivation changed: %s", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("a key from no root")
		}
	}()
	Root{}.ParticipantKey("r", "i")
}

func TestParseRoot(t *testing.T) {
	text := base64.StdEncoding.EncodeToString(testRoot)
	got, err := ParseRoot(" " + text + "\n")
	if err != nil || string(got) != string(testRoot) {
		t.Errorf("got %x, %v", got, err)
	}
	for _, bad := range []string{"", "AAAA", "!" + text, text + text} {
		if _, err := ParseRoot(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
