package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	secretA = "secret-a-secret-a-secret-a-secret-a"
	secretB = "secret-b-secret-b-secret-b-secret-b"
)

var (
	keys = Keys{"A": secretA, "B": secretB}
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

// payload is a join token's payload that Verify takes at noon.
func payload(changes map[string]any) map[string]any {
	p := map[string]any{
		"iss": "A", "sub": "ada", "name": "Ada", "exp": noon.Add(time.Hour).Unix(), "nbf": noon.Add(-time.Hour).Unix(),
		"video": map[string]any{"room": "lounge", "roomJoin": true},
	}
	for k, v := range changes {
		p[k] = v
		if v == nil {
			delete(p, k)
		}
	}
	return p
}

// sign makes a token of any header and payload, however wrong.
func sign(t testing.TB, header, payload map[string]any, key []byte) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(header) + "." + part(payload)
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

var hs256 = map[string]any{"alg": "HS256", "typ": "JWT"}

func TestWhatWasMintedIsVerified(t *testing.T) {
	c := Claims{
		Identity: "ada", Name: "Ada \"the\" <first>", Metadata: "{\"a\":\n1}", Room: "lounge/é",
		Join: true, Admin: true, CanPublish: true, CanSubscribe: true, Hidden: true,
		Sources: []Source{Camera, Screen, ScreenAudio}, Expires: noon.Add(time.Minute), NotBefore: noon,
	}
	for id, secret := range keys {
		raw, err := Mint(id, secret, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := keys.Verify(raw, noon)
		if err != nil {
			t.Fatal(err)
		}
		got.Expires, got.NotBefore = got.Expires.UTC(), got.NotBefore.UTC()
		if !reflect.DeepEqual(got, c) {
			t.Errorf("key %s: got %+v, want %+v", id, got, c)
		}
	}
}

func TestAbsentPermissionsMeanWhatTheyMeanToLiveKit(t *testing.T) {
	for name, test := range map[string]struct {
		video any
		want  Claims
	}{
		"nothing said": {map[string]any{"room": "r", "roomJoin": true},
			Claims{Room: "r", Join: true, CanPublish: true, CanSubscribe: true, CanPublishData: true}},
		"viewer": {map[string]any{"room": "r", "roomJoin": true, "canPublish": false},
			Claims{Room: "r", Join: true, CanSubscribe: true}},
		"explicit data": {map[string]any{"room": "r", "roomJoin": true, "canPublish": false, "canPublishData": true},
			Claims{Room: "r", Join: true, CanSubscribe: true, CanPublishData: true}},
		"own metadata": {map[string]any{"room": "r", "roomJoin": true, "canUpdateOwnMetadata": true},
			Claims{Room: "r", Join: true, CanPublish: true, CanSubscribe: true, CanPublishData: true, CanDescribe: true}},
		"sources": {map[string]any{"room": "r", "roomJoin": true, "canPublishSources": []string{"microphone", "screen_share", "screen_share_audio", "odd"}},
			Claims{Room: "r", Join: true, CanPublish: true, CanSubscribe: true, CanPublishData: true,
				Sources: []Source{Microphone, Screen, ScreenAudio, "odd"}}},
		"admin only": {map[string]any{"room": "r", "roomAdmin": true},
			Claims{Room: "r", Admin: true, CanPublish: true, CanSubscribe: true, CanPublishData: true}},
		"no grant": {nil, Claims{}},
	} {
		got, err := keys.Verify(sign(t, hs256, payload(map[string]any{"video": test.video}), []byte(secretA)), noon)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		test.want.Identity, test.want.Name, test.want.Expires, test.want.NotBefore = "ada", "Ada", got.Expires, got.NotBefore
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

// Tokens that livekit-server-sdk 2.19.2 for Node.js minted with our test keys.
func TestTokensOfLiveKitsSDK(t *testing.T) {
	for raw, want := range map[string]Claims{
		"eyJhbGciOiJIUzI1NiJ9." +
			"eyJtZXRhZGF0YSI6IntcInNlYXRcIjoxfSIsImF0dHJpYnV0ZXMiOnsidGVhbSI6IngifSwibmFtZSI6IkFkYSIsInZpZGVvIjp7InJvb20iOiJsb3VuZ2UiLCJyb29tSm9pbiI6dHJ1ZSwiY2FuUHVibGlzaCI6dHJ1ZSwiY2FuU3Vic2NyaWJlIjp0cnVlLCJjYW5QdWJsaXNoU291cmNlcyI6WyJjYW1lcmEiLCJzY3JlZW5fc2hhcmUiXX0sImlzcyI6IkEiLCJleHAiOjQ5NDkwMDc5MzksIm5iZiI6MTc5NTQwNzkzOSwic3ViIjoiYWRhIn0." +
			"Skwm5CXluTOnGXRUiL65uuE5JiP1FchLLhCD6pAn8o0": {
			Identity: "ada", Name: "Ada", Metadata: `{"seat":1}`, Room: "lounge", Join: true,
			CanPublish: true, CanSubscribe: true, CanPublishData: true, Sources: []Source{Camera, Screen}},
		"eyJhbGciOiJIUzI1NiJ9." +
			"eyJ2aWRlbyI6eyJyb29tIjoibG91bmdlIiwicm9vbUpvaW4iOnRydWUsImNhblB1Ymxpc2giOmZhbHNlfSwiaXNzIjoiQiIsImV4cCI6NDk0OTAwNzkzOSwibmJmIjoxNzk1NDA3OTM5LCJzdWIiOiJ2ZXJhIn0." +
			"1ZjoPV5Mqe2Sa-tXJAub0JWYBfKAtX0jCSPX_ff_LLw": {
			Identity: "vera", Room: "lounge", Join: true, CanSubscribe: true},
	} {
		got, err := keys.Verify(raw, noon)
		if err != nil {
			t.Errorf("%s: %v", want.Identity, err)
		}
		want.Expires, want.NotBefore = got.Expires, got.NotBefore
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestEveryRefusalOfAJoinToken(t *testing.T) {
	good := sign(t, hs256, payload(nil), []byte(secretA))
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	node, err := testRoot.MintNode("n-1", noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	with := func(changes map[string]any) string { return sign(t, hs256, payload(changes), []byte(secretA)) }
	header := func(h map[string]any) string { return sign(t, h, payload(nil), []byte(secretA)) }

	for name, test := range map[string]struct {
		raw    string
		want   *Error
		signed bool
	}{
		"none at all":                 {"", ErrMissing, false},
		"not a token":                 {"hello", ErrMalformed, false},
		"dots only":                   {"..", ErrMalformed, false},
		"four parts":                  {good + ".x", ErrMalformed, false},
		"spaces":                      {" " + good, ErrMalformed, false},
		"a megabyte":                  {strings.Repeat("A", 1<<20), ErrMalformed, false},
		"a megabyte of dots":          {strings.Repeat(".", 1<<20), ErrMalformed, false},
		"header is no JSON":           {"aGk." + parts[1] + "." + parts[2], ErrMalformed, false},
		"payload is no JSON":          {parts[0] + ".aGk." + parts[2], ErrMalformed, false},
		"sub is a number":             {with(map[string]any{"sub": 5}), ErrMalformed, false},
		"video is a list":             {with(map[string]any{"video": []int{1}}), ErrMalformed, false},
		"unknown critical extension":  {header(map[string]any{"alg": "HS256", "crit": []string{"b64"}, "b64": false}), ErrMalformed, false},
		"alg none, no signature":      {none + "." + parts[1] + ".", ErrAlgorithm, false},
		"alg none, old signature":     {none + "." + parts[1] + "." + parts[2], ErrAlgorithm, false},
		"alg None":                    {header(map[string]any{"alg": "None"}), ErrAlgorithm, false},
		"alg absent":                  {header(map[string]any{"typ": "JWT"}), ErrAlgorithm, false},
		"alg is a number":             {header(map[string]any{"alg": 1}), ErrAlgorithm, false},
		"alg HS512, HS256 signature":  {header(map[string]any{"alg": "HS512"}), ErrAlgorithm, false},
		"alg RS256, HMAC signature":   {header(map[string]any{"alg": "RS256"}), ErrAlgorithm, false},
		"alg hs256 in lower case":     {header(map[string]any{"alg": "hs256"}), ErrAlgorithm, false},
		"another deployment's secret": {sign(t, hs256, payload(nil), []byte(strings.Repeat("x", 40))), ErrSignature, false},
		"A's name, B's secret":        {sign(t, hs256, payload(nil), []byte(secretB)), ErrSignature, false},
		"unknown key id":              {with(map[string]any{"iss": "C"}), ErrSignature, false},
		"no key id":                   {with(map[string]any{"iss": nil}), ErrSignature, false},
		"empty key, unknown id":       {sign(t, hs256, payload(map[string]any{"iss": "C"}), nil), ErrSignature, false},
		"signature cut":               {good[:len(good)-4], ErrSignature, false},
		"signature gone":              {parts[0] + "." + parts[1] + ".", ErrSignature, false},
		"payload changed":             {parts[0] + "." + strings.Split(with(map[string]any{"sub": "eve"}), ".")[1] + "." + parts[2], ErrSignature, false},
		"a node's token":              {node, ErrWrongKind, false},
		"a node's audience":           {with(map[string]any{"aud": []string{"x", nodeAudience}}), ErrWrongKind, false},
		"a node's type":               {header(map[string]any{"alg": "HS256", "typ": nodeType}), ErrWrongKind, false},
		"expired":                     {with(map[string]any{"exp": noon.Add(-Leeway).Unix()}), ErrExpired, true},
		"not yet valid":               {with(map[string]any{"nbf": noon.Add(Leeway + time.Second).Unix()}), ErrNotYetValid, true},
		"no exp":                      {with(map[string]any{"exp": nil}), ErrMalformed, true},
		"exp beyond time":             {with(map[string]any{"exp": 1e300}), ErrMalformed, true},
		"exp below time":              {with(map[string]any{"exp": -1e300}), ErrMalformed, true},
		"nbf beyond time":             {with(map[string]any{"nbf": 1e300}), ErrMalformed, true},
		"no identity":                 {with(map[string]any{"sub": nil}), ErrMalformed, true},
		"long identity":               {with(map[string]any{"sub": strings.Repeat("é", 65)}), ErrMalformed, true},
		"control in identity":         {with(map[string]any{"sub": "a\nb"}), ErrMalformed, true},
		"long name":                   {with(map[string]any{"name": strings.Repeat("n", 129)}), ErrMalformed, true},
		"control in name":             {with(map[string]any{"name": "\x00"}), ErrMalformed, true},
		"long metadata":               {with(map[string]any{"metadata": strings.Repeat("m", 2049)}), ErrMalformed, true},
		"join without a room":         {with(map[string]any{"video": map[string]any{"roomJoin": true}}), ErrMalformed, true},
		"long room":                   {with(map[string]any{"video": map[string]any{"room": strings.Repeat("r", 129)}}), ErrMalformed, true},
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := keys.Verify(test.raw, noon)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			var refusal *Error
			if !errors.As(err, &refusal) || refusal.Signed != test.signed {
				t.Errorf("signed is not %v: %v", test.signed, err)
			}
			if forged := reflect.DeepEqual(claims, Claims{}); forged == test.signed {
				t.Errorf("claims beside the error: %+v", claims)
			}
			for _, secret := range []string{secretA, secretB} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("a secret in %q", err)
				}
			}
		})
	}
}

// The public half of a key pair, taken as an HMAC secret, is the classic
// confusion: no verifier here may ever hold one, and none may try.
func TestAPublicKeyIsNoSecret(t *testing.T) {
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&pair.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if _, err := keys.Verify(sign(t, hs256, payload(nil), public), noon); !errors.Is(err, ErrSignature) {
		t.Errorf("HMAC with a public key: %v", err)
	}
	raw, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(payload(nil))).SignedString(pair)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Verify(raw, noon); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("a genuine RS256 token: %v", err)
	}
}

func TestClocksMayDifferByTheLeeway(t *testing.T) {
	c := Claims{Identity: "ada", Room: "r", Join: true, NotBefore: noon, Expires: noon.Add(time.Minute)}
	raw, err := Mint("A", secretA, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		now  time.Time
		want error
	}{
		{noon.Add(-Leeway - 1), ErrNotYetValid},
		{noon.Add(-Leeway), nil},
		{noon.Add(time.Minute + Leeway - 1), nil},
		{noon.Add(time.Minute + Leeway), ErrExpired},
	} {
		if _, err := keys.Verify(raw, test.now); !errors.Is(err, test.want) {
			t.Errorf("at %v: got %v, want %v", test.now.Sub(noon), err, test.want)
		}
	}
}

func TestKeysTakeTurns(t *testing.T) {
	raw := sign(t, hs256, payload(nil), []byte(secretA))
	if _, err := (Keys{"A": secretB}).Verify(raw, noon); !errors.Is(err, ErrSignature) {
		t.Errorf("same id, changed secret: %v", err)
	}
	if _, err := (Keys{"B": secretB}).Verify(raw, noon); !errors.Is(err, ErrSignature) {
		t.Errorf("key taken away: %v", err)
	}
	if _, err := (Keys(nil)).Verify(raw, noon); !errors.Is(err, ErrSignature) {
		t.Errorf("no keys: %v", err)
	}
	// A short or empty secret in the deployment's settings must not let anybody
	// in who guesses it.
	for _, weak := range []string{"", "short"} {
		forged := sign(t, hs256, payload(nil), []byte(weak))
		if _, err := (Keys{"A": weak}).Verify(forged, noon); !errors.Is(err, ErrSignature) {
			t.Errorf("secret %q: %v", weak, err)
		}
	}
}

func TestAdmit(t *testing.T) {
	good := Claims{Room: "lounge", Join: true, CanSubscribe: true}
	for name, test := range map[string]struct {
		claims Claims
		room   string
		want   error
	}{
		"its room":        {good, "lounge", nil},
		"unsaid":          {good, "", nil},
		"another room":    {good, "kitchen", ErrWrongRoom},
		"case matters":    {good, "Lounge", ErrWrongRoom},
		"no join":         {Claims{Room: "lounge", Admin: true, CanSubscribe: true}, "lounge", ErrNoPermission},
		"may not receive": {Claims{Room: "lounge", Join: true, CanPublish: true}, "lounge", ErrNoPermission},
	} {
		if err := test.claims.Admit(test.room); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

func TestMayPublish(t *testing.T) {
	for _, test := range []struct {
		claims Claims
		source Source
		want   bool
	}{
		{Claims{CanPublish: true}, Camera, true},
		{Claims{}, Camera, false},
		{Claims{Sources: []Source{Camera}}, Camera, false},
		{Claims{CanPublish: true, Sources: []Source{Camera}}, Camera, true},
		{Claims{CanPublish: true, Sources: []Source{Camera}}, Screen, false},
		{Claims{CanPublish: true, Sources: []Source{"odd"}}, Camera, false},
	} {
		if got := test.claims.MayPublish(test.source); got != test.want {
			t.Errorf("%+v %s: got %v", test.claims, test.source, got)
		}
	}
}

func TestMintRefusesWhatVerifyWould(t *testing.T) {
	good := Claims{Identity: "ada", Room: "r", Join: true, Expires: noon}
	if _, err := Mint("A", secretA, good); err != nil {
		t.Fatal(err)
	}
	for name, mint := range map[string]func() (string, error){
		"no key id":    func() (string, error) { return Mint("", secretA, good) },
		"short secret": func() (string, error) { return Mint("A", "secret", good) },
		"no identity":  func() (string, error) { c := good; c.Identity = ""; return Mint("A", secretA, c) },
		"no room":      func() (string, error) { c := good; c.Room = ""; return Mint("A", secretA, c) },
		"no expiry":    func() (string, error) { c := good; c.Expires = time.Time{}; return Mint("A", secretA, c) },
		"never valid":  func() (string, error) { c := good; c.NotBefore = noon.Add(time.Hour); return Mint("A", secretA, c) },
		"broken UTF-8": func() (string, error) { c := good; c.Name = "\xff"; return Mint("A", secretA, c) },
		"too long made": func() (string, error) {
			c := good
			c.Metadata = strings.Repeat("<", 2048)
			return Mint("A", secretA, c)
		},
	} {
		if raw, err := mint(); err == nil {
			t.Errorf("%s: minted %s", name, raw)
		}
	}
}

func TestParseKeys(t *testing.T) {
	got, err := ParseKeys([]byte(`{"A":"` + secretA + `","B":"` + secretB + `"}`))
	if err != nil || !reflect.DeepEqual(got, keys) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{``, `{}`, `null`, `[]`, `{"A":5}`, `{"A":"short-secret"}`, `{"":"` + secretA + `"}`} {
		_, err := ParseKeys([]byte(text))
		if err == nil {
			t.Errorf("%s was taken", text)
		} else if strings.Contains(err.Error(), "short-secret") {
			t.Errorf("a secret in %q", err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(sign(f, hs256, payload(nil), []byte(secretA)))
	f.Add("e30.e30.e30")
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		claims, err := keys.Verify(raw, noon)
		var refusal *Error
		if err != nil && !errors.As(err, &refusal) {
			t.Fatalf("an error without a code: %v", err)
		}
		if err == nil && (claims.Identity == "" || claims.check() != nil) {
			t.Fatalf("taken: %+v", claims)
		}
		if _, err := Kind(raw); err != nil && !errors.As(err, &refusal) {
			t.Fatalf("an error without a code: %v", err)
		}
	})
}
