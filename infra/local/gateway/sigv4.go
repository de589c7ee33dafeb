package gateway

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// refusal is a 403 with the name that SDKs know it by.
type refusal struct{ exception, message string }

// authorization takes apart the header of Signature Version 4: access key,
// date, region and service of the credential scope, signed headers, signature.
var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 +Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, *SignedHeaders=([^,]+), *Signature=([0-9a-f]{64})$`)

// verify checks that a request is signed with the API's credentials for this
// service and Region, by signing it again. Credentials without a key disable
// nothing: they refuse everything. How old the signature is is not checked.
func (a *WebSocket) verify(r *http.Request, body []byte) *refusal {
	header := r.Header.Get("Authorization")
	if header == "" {
		return &refusal{"MissingAuthenticationTokenException", "Missing Authentication Token"}
	}
	m := authorization.FindStringSubmatch(header)
	if m == nil {
		return &refusal{"IncompleteSignatureException", "Authorization header is not a complete AWS4-HMAC-SHA256 signature"}
	}
	key, day, region, service, signed, signature := m[1], m[2], m[3], m[4], m[5], m[6]
	switch {
	case key != a.opts.Credentials.AccessKeyID || key == "":
		return &refusal{"UnrecognizedClientException", "The security token included in the request is invalid."}
	case service != "execute-api" || region != a.opts.Region:
		return &refusal{"InvalidSignatureException", "Credential should be scoped to service execute-api in Region " + a.opts.Region + "."}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != day {
		return &refusal{"IncompleteSignatureException", "X-Amz-Date is missing or does not fit the credential scope"}
	}
	again, err := a.sign(r, body, strings.Split(signed, ";"), at)
	if err != nil || !hmac.Equal([]byte(again), []byte(signature)) {
		return &refusal{"InvalidSignatureException", "The request signature we calculated does not match the signature you provided."}
	}
	return nil
}

// sign computes the signature that the request should have.
func (a *WebSocket) sign(r *http.Request, body []byte, signed []string, at time.Time) (string, error) {
	u := &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	again, err := http.NewRequestWithContext(r.Context(), r.Method, u.String(), io.NopCloser(bytes.NewReader(body)))
	if err != nil {
		return "", err
	}
	again.URL = u
	for _, name := range signed {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength = int64(len(body))
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(r.Context(), a.opts.Credentials, again, hex.EncodeToString(sum[:]), "execute-api", a.opts.Region, at); err != nil {
		return "", err
	}
	m := authorization.FindStringSubmatch(again.Header.Get("Authorization"))
	if m == nil || m[5] != strings.Join(signed, ";") {
		return "", http.ErrNotSupported
	}
	return m[6], nil
}
