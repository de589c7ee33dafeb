package token

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var (
	testRoot  = Root(strings.Repeat("r", RootSize))
	otherRoot = Root(strings.Repeat("o", RootSize))
)

func TestNodeTokens(t *testing.T) {
	raw, err := testRoot.MintNode("i-1", noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := testRoot.MintNode("i-1", noon, time.Hour); again != raw {
		t.Error("the same arguments gave another token")
	}
	parts := strings.Split(raw, ".")
	join, err := Mint("A", secretA, Claims{Identity: "i-1", Room: "r", Join: true, Expires: noon.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	other, err := testRoot.MintNode("i-2", noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	nodeHeader := map[string]any{"alg": "HS256", "typ": nodeType}
	for name, test := range map[string]struct {
		root Root
		raw  string
		at   time.Duration
		want error
		node string
	}{
		"good":                      {testRoot, raw, 0, nil, "i-1"},
		"its last moment":           {testRoot, raw, time.Hour + Leeway - 1, nil, "i-1"},
		"expired":                   {testRoot, raw, time.Hour + Leeway, ErrExpired, "i-1"},
		"before its launch":         {testRoot, raw, -time.Minute, ErrNotYetValid, "i-1"},
		"another deployment":        {otherRoot, raw, 0, ErrSignature, ""},
		"no root":                   {nil, raw, 0, ErrSignature, ""},
		"another node's payload":    {testRoot, parts[0] + "." + strings.Split(other, ".")[1] + "." + parts[2], 0, ErrSignature, ""},
		"a join token":              {testRoot, join, 0, ErrWrongKind, ""},
		"a join key, a node's type": {testRoot, sign(t, nodeHeader, payload(map[string]any{"aud": nodeAudience}), []byte(secretA)), 0, ErrSignature, ""},
		"the root itself as key":    {testRoot, sign(t, nodeHeader, payload(map[string]any{"aud": nodeAudience}), testRoot), 0, ErrSignature, ""},
		"alg none":                  {testRoot, "eyJhbGciOiJub25lIn0." + parts[1] + ".", 0, ErrAlgorithm, ""},
		"none at all":               {testRoot, "", 0, ErrMissing, ""},
		"cut":                       {testRoot, raw[:len(raw)/2], 0, ErrMalformed, ""},
	} {
		node, err := test.root.VerifyNode(test.raw, noon.Add(test.at))
		if !errors.Is(err, test.want) || node != test.node {
			t.Errorf("%s: got %q, %v; want %q, %v", name, node, err, test.node, test.want)
		}
	}
	for _, bad := range []func() (string, error){
		func() (string, error) { return testRoot.MintNode("", noon, time.Hour) },
		func() (string, error) { return testRoot.MintNode(strings.Repeat("n", 65), noon, time.Hour) },
		func() (string, error) { return testRoot.MintNode("i-1", noon, 0) },
		func() (string, error) { return Root("short").MintNode("i-1", noon, time.Hour) },
	} {
		if raw, err := bad(); err == nil {
			t.Errorf("minted %s", raw)
		}
	}
}

func TestANodeTokenIsRenewedAfterHalfItsLife(t *testing.T) {
	raw, err := testRoot.MintNode("i-1", noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c, err := testRoot.ReadNode(raw, noon)
	if err != nil || c.Node != "i-1" || !c.Issued.Equal(noon) || !c.Expires.Equal(noon.Add(time.Hour)) {
		t.Fatalf("got %+v, %v", c, err)
	}
	if at := c.RenewAt(); !at.Equal(noon.Add(30 * time.Minute)) {
		t.Errorf("due at %s", at)
	}
}

func TestKind(t *testing.T) {
	node, err := testRoot.MintNode("i-1", noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		raw  string
		node bool
		want error
	}{
		"node":        {node, true, nil},
		"join":        {sign(t, hs256, payload(nil), []byte(secretA)), false, nil},
		"forged join": {sign(t, hs256, payload(nil), nil), false, nil},
		"missing":     {"", false, ErrMissing},
		"malformed":   {"x", false, ErrMalformed},
		"algorithm":   {"eyJhbGciOiJub25lIn0.e30.", false, ErrAlgorithm},
	} {
		got, err := Kind(test.raw)
		if got != test.node || !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}
