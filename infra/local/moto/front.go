package moto

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// requestLimit bounds one request to moto, and requestBytes its body: twice what
// the largest that AWS takes here (a batch of DynamoDB) may have.
const (
	requestLimit = 60 * time.Second
	requestBytes = 32 << 20
)

// front stands before moto and puts right where moto would deceive those who
// rely on AWS:
//
//   - DynamoDB's writes are atomic and isolated. In moto, which serves requests
//     in threads, they are neither: a transaction that fails puts back a copy of
//     the whole table, and with it undoes what others wrote meanwhile and were
//     told so. Requests to DynamoDB therefore pass one at a time; so do those to
//     EC2, whose lists are not made for threads either.
//   - RunInstances heeds its client token: the same request again launches
//     nothing and gets the same answer (EC2 User Guide, "Ensuring idempotency in
//     Amazon EC2 API requests").
type front struct {
	moto      *url.URL
	transport http.RoundTripper
	dynamodb  sync.Mutex
	ec2       sync.Mutex
	launches  map[string]launch // by client token; guarded by ec2
}

// launch is a RunInstances that has succeeded.
type launch struct {
	request string // its parameters, in one order
	answer  *reply
}

// reply is an answer of moto, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func newFront(moto *url.URL) *front {
	return &front{moto: moto, transport: &http.Transport{DisableCompression: true}, launches: map[string]launch{}}
}

// ServeHTTP implements [http.Handler].
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Whole bodies on both sides of a lock: nobody's reading or writing holds it.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestBytes))
	if err != nil {
		http.Error(w, "request cut off or too large", http.StatusBadRequest)
		return
	}
	answer, err := f.pass(r, body)
	if err != nil {
		if r.Context().Err() == nil {
			http.Error(w, "moto does not answer", http.StatusBadGateway)
		}
		return
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body) // the client may have gone
}

// pass hands the request to moto when it is its turn.
func (f *front) pass(r *http.Request, body []byte) (*reply, error) {
	switch serviceOf(r) {
	case "dynamodb":
		f.dynamodb.Lock()
		defer f.dynamodb.Unlock()
		return f.forwardWhole(r, body)
	case "ec2":
		f.ec2.Lock()
		defer f.ec2.Unlock()
		return f.passEC2(r, body)
	default:
		return f.forward(r.Context(), r, body)
	}
}

// passEC2 serves EC2's requests; the caller holds its lock.
func (f *front) passEC2(r *http.Request, body []byte) (*reply, error) {
	form, err := url.ParseQuery(string(body))
	token := form.Get("ClientToken")
	if err != nil || form.Get("Action") != "RunInstances" || token == "" {
		return f.forwardWhole(r, body)
	}
	request := form.Encode()
	if earlier, ok := f.launches[token]; ok {
		if earlier.request != request {
			return ec2Error("IdempotentParameterMismatch",
				"Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
		}
		return earlier.answer, nil
	}
	answer, err := f.forwardWhole(r, body)
	if err == nil && answer.status == http.StatusOK {
		f.launches[token] = launch{request, answer}
	}
	return answer, err
}

// forwardWhole forwards for a client whose turn it is. One that gives up in line
// loses its turn, one that gives up later does not end it: moto works on all the
// same, and must be done when the next begins.
func (f *front) forwardWhole(r *http.Request, body []byte) (*reply, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return f.forward(context.WithoutCancel(r.Context()), r, body)
}

// forward sends the request as it came, the name by which the client knows us
// included: moto makes the URLs of queues from it.
func (f *front) forward(ctx context.Context, r *http.Request, body []byte) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	u := *r.URL
	u.Scheme, u.Host = f.moto.Scheme, f.moto.Host
	out, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header, out.Host = r.Header.Clone(), r.Host
	response, err := f.transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Connection", "Content-Length", "Transfer-Encoding"} { // of that connection
		response.Header.Del(name)
	}
	return &reply{response.StatusCode, response.Header, content}, nil
}

// serviceOf reads the service from the scope of the signature: AWS4-HMAC-SHA256
// Credential=<key>/<day>/<region>/<service>/aws4_request, …
func serviceOf(r *http.Request) string {
	credential, _, _ := strings.Cut(r.Header.Get("Authorization"), ",")
	scope := strings.Split(credential, "/")
	if len(scope) != 5 {
		return ""
	}
	return scope[3]
}

// ec2Error is a refusal as EC2's query protocol writes it.
func ec2Error(code, message string) (*reply, error) {
	type fault struct{ Code, Message string }
	body, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"Response"`
		Errors    []fault  `xml:"Errors>Error"`
		RequestID string
	}{Errors: []fault{{code, message}}, RequestID: "local"})
	if err != nil {
		return nil, fmt.Errorf("write an EC2 error: %w", err)
	}
	return &reply{http.StatusBadRequest, http.Header{"Content-Type": {"text/xml"}}, body}, nil
}
