package cloud_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/spillway-sfu/spillway/infra/local/moto"
	"github.com/spillway-sfu/spillway/shared/cloud"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
	"github.com/spillway-sfu/spillway/shared/step/steptest"
)

// fault is an answer of DynamoDB's that is none: its status and body.
type fault struct {
	status int
	body   string
}

func refusal(code string) fault {
	return fault{http.StatusBadRequest, fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"injected"}`, code)}
}

// cancelled is a transaction that was not made, with a reason for each item.
func cancelled(reasons ...string) fault {
	var list []map[string]string
	for _, r := range reasons {
		list = append(list, map[string]string{"Code": r})
	}
	data, _ := json.Marshal(map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
		"message": "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(reasons, ", ") + "]", "CancellationReasons": list})
	return fault{http.StatusBadRequest, string(data)}
}

var (
	throttled = refusal("ThrottlingException")
	exceeded  = refusal("ProvisionedThroughputExceededException")
	broken    = fault{http.StatusInternalServerError, `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"injected"}`}
)

// faults are what an operation may meet.
func faults(operation string) []fault {
	switch operation {
	case "TransactWriteItems":
		return []fault{cancelled("TransactionConflict", "None"), cancelled("ConditionalCheckFailed", "None"), cancelled("ProvisionedThroughputExceeded", "None"),
			cancelled("ThrottlingError", "None"), throttled, exceeded, broken, refusal("TransactionInProgressException")}
	case "PutItem", "UpdateItem", "DeleteItem":
		return []fault{refusal("TransactionConflictException"), refusal("ConditionalCheckFailedException"), throttled, exceeded, broken}
	case "BatchGetItem":
		return []fault{throttled, exceeded, broken, {http.StatusOK, "unprocessed"}}
	case "Query":
		return []fault{throttled, exceeded, broken}
	}
	return nil
}

// injector lets each request fail once before it passes: which way, its bytes
// decide.
type injector struct {
	next http.RoundTripper

	mu   sync.Mutex
	seen map[uint64]bool
	met  map[string]int
}

func (i *injector) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	h := fnv.New64a()
	_, _ = h.Write(request(body))
	all := faults(operation)
	i.mu.Lock()
	hit := len(all) > 0 && !i.seen[h.Sum64()]
	i.seen[h.Sum64()] = true
	var f fault
	if hit {
		f = all[(h.Sum64()>>16)%uint64(len(all))]
		i.met[operation+" "+f.body]++
	}
	i.mu.Unlock()
	if !hit {
		return i.next.RoundTrip(r)
	}
	if f.body == "unprocessed" {
		var asked struct{ RequestItems json.RawMessage }
		if err := json.Unmarshal(body, &asked); err != nil {
			return nil, err
		}
		f.body = fmt.Sprintf(`{"Responses":{},"UnprocessedKeys":%s}`, asked.RequestItems)
	}
	return f.response(r), nil
}

// request is what a body asks for: the same whatever the order of its names, and
// whichever token the SDK has given it.
func request(body []byte) []byte {
	var asked map[string]any
	if json.Unmarshal(body, &asked) != nil {
		return body
	}
	delete(asked, "ClientRequestToken")
	data, _ := json.Marshal(asked)
	return data
}

func (f fault) response(r *http.Request) *http.Response {
	return &http.Response{StatusCode: f.status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(f.body)), ContentLength: int64(len(f.body)), Request: r}
}

func clientVia(url string, via http.RoundTripper) *dynamodb.Client {
	return dynamodb.NewFromConfig(motoConfig(url), func(o *dynamodb.Options) {
		o.HTTPClient = &http.Client{Transport: via}
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			o.RateLimiter = noLimit{}
		})
	})
}

// noLimit lets every retry happen: the injector fails more requests than the SDK
// would try again in so short a time.
type noLimit struct{}

func (noLimit) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (noLimit) AddTokens(uint) error { return nil }

// again is what the loop of package step does, for the contract: after a conflict
// it tries again. A real one is there again.
type again struct{ step.Store }

func (a again) Commit(ctx context.Context, changes []control.Change) error {
	err := a.Store.Commit(ctx, changes)
	for tries := 0; tries < 2 && (errors.Is(err, step.ErrConflict) || errors.Is(err, step.ErrBusy) || errors.As(err, new(interface{ HTTPStatusCode() int }))); tries++ {
		err = a.Store.Commit(ctx, changes)
	}
	return err
}

// TestStoreOnAFaultyTable holds the store against the contract where every request
// to DynamoDB fails once before it passes.
func TestStoreOnAFaultyTable(t *testing.T) {
	server, err := moto.Start(t.Context(), moto.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := dynamodb.NewFromConfig(motoConfig(server.URL)).CreateTable(ctx, cloud.CreateTableInput("faulty")); err != nil {
		t.Fatal(err)
	}
	i := &injector{next: http.DefaultTransport, seen: map[uint64]bool{}, met: map[string]int{}}
	steptest.Run(t, func(*testing.T) step.Store { return again{cloud.NewStore(clientVia(server.URL, i), "faulty")} })
	t.Logf("%d kinds of faults were met", len(i.met))
	if len(i.met) < 18 { // of 30; which, the names of the run decide
		t.Errorf("only %d kinds of faults were met", len(i.met))
	}
}

// always answers every request with the same fault.
type always struct {
	fault
	calls int
}

func (a *always) RoundTrip(r *http.Request) (*http.Response, error) {
	a.calls++
	return a.response(r), nil
}

// What the loop is told of a table that stays as it is: a conflict is decided
// anew, busy is tried later, anything else is a fault and neither.
func TestWhatAFaultyTableMeans(t *testing.T) {
	seat := []control.Change{control.TakeSeat{Room: "r", Index: 1, Generation: 1, Key: "k", Revision: 1}}
	both := append(seat, control.DropBlock{Room: "r", Index: 2, Generation: 1})
	type verdict struct {
		err     error // nil: a fault
		retries bool  // by the SDK, before we hear of it
	}
	conflict, busy, bad := verdict{step.ErrConflict, false}, verdict{step.ErrBusy, true}, verdict{nil, true}
	for _, c := range []struct {
		name    string
		fault   fault
		changes []control.Change
		want    verdict
	}{
		{"a condition", refusal("ConditionalCheckFailedException"), seat, conflict},
		{"a transaction on the item", refusal("TransactionConflictException"), seat, conflict},
		{"throttled", throttled, seat, busy},
		{"throughput exceeded", exceeded, seat, busy},
		{"an error of DynamoDB's", broken, seat, bad},
		{"a bad request", refusal("ValidationException"), seat, verdict{nil, false}},
		{"cancelled by a condition", cancelled("None", "ConditionalCheckFailed"), both, conflict},
		{"cancelled by a transaction", cancelled("TransactionConflict", "None"), both, conflict},
		{"cancelled by a condition and throttled", cancelled("ThrottlingError", "ConditionalCheckFailed"), both, conflict},
		{"cancelled by throughput", cancelled("ProvisionedThroughputExceeded", "None"), both, verdict{step.ErrBusy, false}},
		{"cancelled by throttling", cancelled("None", "ThrottlingError"), both, verdict{step.ErrBusy, false}},
		{"cancelled for what is wrong with it", cancelled("ValidationError", "None"), both, verdict{nil, false}},
		{"the same transaction is on its way", refusal("TransactionInProgressException"), both, busy},
		{"a transaction, throttled", throttled, both, busy},
		{"a transaction, an error", broken, both, bad},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &always{fault: c.fault}
			err := cloud.NewStore(clientVia("http://127.0.0.1:1", a), "t").Commit(t.Context(), c.changes)
			if c.want.err != nil && !errors.Is(err, c.want.err) || c.want.err == nil && (err == nil || errors.Is(err, step.ErrConflict) || errors.Is(err, step.ErrBusy)) {
				t.Errorf("got %v, expected %v", err, c.want.err)
			}
			if (a.calls > 1) != c.want.retries {
				t.Errorf("%d requests", a.calls)
			}
		})
	}
	for _, f := range []fault{throttled, exceeded} {
		store := cloud.NewStore(clientVia("http://127.0.0.1:1", &always{fault: f}), "t")
		if _, err := store.Get(t.Context(), true, step.RoomKey{Room: "r"}); !errors.Is(err, step.ErrBusy) {
			t.Errorf("get: %v", err)
		}
		if _, err := store.Find(t.Context(), step.Candidates{Region: "r", Need: room.Load{Kbps: 1}, Limit: 5}); !errors.Is(err, step.ErrBusy) {
			t.Errorf("find: %v", err)
		}
	}
}
