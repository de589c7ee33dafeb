package moto

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// engine plays moto: it notes how many requests it works on at once and holds
// each until it is released.
type engine struct {
	mu        sync.Mutex
	now, most int
	launched  int
	entered   chan string   // a request is being worked on
	release   chan struct{} // one may be answered
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	e.now++
	e.most = max(e.most, e.now)
	if strings.Contains(string(body), "RunInstances") {
		e.launched++
	}
	n := e.launched
	e.mu.Unlock()
	e.entered <- r.Host
	<-e.release // not r.Context(): moto works on when its client has gone
	e.mu.Lock()
	e.now--
	e.mu.Unlock()
	if strings.Contains(string(body), "refuse") {
		w.WriteHeader(http.StatusBadRequest)
	}
	w.Header().Set("X-Engine", "yes")
	fmt.Fprintf(w, "launched %d", n)
}

// quiet fails if a further request reaches moto before one is released. That
// nothing comes can only be seen by waiting a while.
func (e *engine) quiet(t *testing.T) {
	t.Helper()
	select {
	case <-e.entered:
		t.Error("a request reached moto while another one was worked on")
		e.entered <- "" // for whoever counts them
	case <-time.After(150 * time.Millisecond):
	}
}

func startFront(t *testing.T) (*engine, *httptest.Server) {
	t.Helper()
	e := &engine{entered: make(chan string, 100), release: make(chan struct{}, 100)}
	behind := httptest.NewServer(e)
	t.Cleanup(behind.Close)
	u, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	before := httptest.NewServer(newFront(u))
	t.Cleanup(before.Close)
	return e, before
}

// send makes one signed request; only the signature's scope is read.
func send(ctx context.Context, to, service, body string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(content), err
}

func TestDynamoDBOneAtATimeOthersAtOnce(t *testing.T) {
	for _, c := range []struct {
		service string
		most    int
	}{{"dynamodb", 1}, {"ec2", 1}, {"sqs", 4}} {
		t.Run(c.service, func(t *testing.T) {
			e, before := startFront(t)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if status, _, err := send(t.Context(), before.URL, c.service, ""); status != http.StatusOK || err != nil {
						t.Errorf("status %d, %v", status, err)
					}
				})
			}
			for range c.most { // as many as may be worked on are, before any is answered
				if host := <-e.entered; "http://"+host != before.URL {
					t.Errorf("moto sees host %s, expected the front's", host)
				}
			}
			e.quiet(t)
			for range 4 {
				e.release <- struct{}{}
			}
			wg.Wait()
			if e.most != c.most {
				t.Errorf("%d at once, expected %d", e.most, c.most)
			}
		})
	}
}

// TestWhoGivesUpDoesNotLetTheNextIn: moto goes on with a request whose client
// has gone, so the next one must still wait.
func TestWhoGivesUpDoesNotLetTheNextIn(t *testing.T) {
	e, before := startFront(t)
	ctx, giveUp := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, _, err := send(ctx, before.URL, "dynamodb", "")
		first <- err
	}()
	<-e.entered
	giveUp()
	if err := <-first; err == nil {
		t.Fatal("the first request was answered")
	}
	second := make(chan error, 1)
	go func() {
		_, _, err := send(t.Context(), before.URL, "dynamodb", "")
		second <- err
	}()
	e.quiet(t)
	e.release <- struct{}{} // the first
	<-e.entered
	e.release <- struct{}{} // the second
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	if e.most != 1 {
		t.Errorf("%d requests at once", e.most)
	}
}

func TestClientTokens(t *testing.T) {
	e, before := startFront(t)
	for range 20 {
		e.release <- struct{}{}
	}
	for _, step := range []struct {
		what, body   string
		status, made int
		says         string
	}{
		{"first", "Action=RunInstances&ClientToken=n1-1&InstanceType=a", 200, 1, "launched 1"},
		{"again", "Action=RunInstances&ClientToken=n1-1&InstanceType=a", 200, 1, "launched 1"},
		{"again, in another order", "ClientToken=n1-1&InstanceType=a&Action=RunInstances", 200, 1, "launched 1"},
		{"same token for something else", "Action=RunInstances&ClientToken=n1-1&InstanceType=b", 400, 1, "<Code>IdempotentParameterMismatch</Code>"},
		{"next attempt", "Action=RunInstances&ClientToken=n1-2&InstanceType=a", 200, 2, "launched 2"},
		{"without a token", "Action=RunInstances&InstanceType=a", 200, 3, "launched 3"},
		{"refused", "Action=RunInstances&ClientToken=n2-1&InstanceType=refuse", 400, 4, ""},
		{"refused again: asked again", "Action=RunInstances&ClientToken=n2-1&InstanceType=refuse", 400, 5, ""},
	} {
		status, body, err := send(t.Context(), before.URL, "ec2", step.body)
		if err != nil || status != step.status || e.launched != step.made || !strings.Contains(body, step.says) {
			t.Errorf("%s: %d %q %v, %d launched; expected %d %q, %d launched", step.what, status, body, err, e.launched, step.status, step.says, step.made)
		}
	}
}
