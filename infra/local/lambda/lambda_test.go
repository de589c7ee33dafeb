package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// TestMain makes this test binary the bootstrap of the functions under test: a
// real aws-lambda-go program, told apart by what only Lambda sets.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		bootstrap()
		return
	}
	os.Exit(m.Run())
}

// order is what a test asks the function to do, report what it saw.
type order struct {
	Do    string `json:"do"`
	File  string `json:"file,omitempty"`
	Bytes int    `json:"bytes,omitempty"`
}

type report struct {
	PID         int
	Request     string
	Function    string
	ARN         string
	RemainingMs int64
	Own         string
	Inherited   string
}

func bootstrap() {
	switch os.Getenv("INIT") {
	case "exit":
		os.Exit(7)
	case "hang":
		select {}
	case "panic":
		awslambda.StartWithOptions("not a handler")
	}
	awslambda.Start(func(ctx context.Context, o order) (any, error) {
		switch o.Do {
		case "fail":
			return nil, errors.New("Unauthorized")
		case "panic":
			panic("as asked")
		case "exit":
			os.Exit(3)
		case "kill":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "wait": // until the file is gone
			for {
				if _, err := os.Stat(o.File); err != nil {
					break
				}
				time.Sleep(2 * time.Millisecond)
			}
		case "sleep":
			<-ctx.Done()
			select {}
		case "bytes":
			return strings.Repeat("x", o.Bytes), nil
		case "print":
			fmt.Println("printed by the function")
		}
		deadline, _ := ctx.Deadline()
		lc, _ := lambdacontext.FromContext(ctx)
		return report{os.Getpid(), lc.AwsRequestID, lambdacontext.FunctionName, lc.InvokedFunctionArn,
			time.Until(deadline).Milliseconds(), os.Getenv("OWN"), os.Getenv("HOME")}, nil
	})
}

func start(t *testing.T, f Function) *Service {
	t.Helper()
	f.Name, f.Bootstrap = "f", os.Args[0]
	s, err := New("us-east-1", "000000000000", slog.New(slog.NewTextHandler(io.Discard, nil)), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (o order) json() []byte {
	b, _ := json.Marshal(o)
	return b
}

func invoke(t *testing.T, s *Service, o order) (report, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	raw, err := s.Invoke(ctx, "f", o.json())
	var r report
	if err == nil && raw[0] == '{' {
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
	}
	return r, err
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not so within 10 s: %s", what)
}

func TestContextAndReuse(t *testing.T) {
	t.Setenv("HOME", "/not/for/functions")
	s := start(t, Function{Env: []string{"OWN=set"}, Timeout: 9 * time.Second})
	a, err := invoke(t, s, order{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := invoke(t, s, order{})
	if err != nil {
		t.Fatal(err)
	}
	if a.PID != b.PID {
		t.Errorf("consecutive invocations ran in environments %d and %d, expected one", a.PID, b.PID)
	}
	if a.Request == b.Request || a.Request == "" {
		t.Errorf("request ids %q and %q", a.Request, b.Request)
	}
	if a.Function != "f" || a.ARN != "arn:aws:lambda:us-east-1:000000000000:function:f" {
		t.Errorf("function is %q, ARN %q", a.Function, a.ARN)
	}
	if a.RemainingMs < 5000 || a.RemainingMs > 9000 {
		t.Errorf("%d ms remained of 9 s", a.RemainingMs)
	}
	if a.Own != "set" || a.Inherited != "" {
		t.Errorf("environment: OWN=%q HOME=%q", a.Own, a.Inherited)
	}
	if st := s.Stats()["f"]; st.Invocations != 2 || st.ColdStarts != 1 || st.Environments != 1 || st.Errors != 0 {
		t.Errorf("stats: %+v", st)
	}
}

// TestConcurrencyAndLine holds every environment busy and looks at who gets
// where: one invocation in flight each, the rest in line, and then refused.
func TestConcurrencyAndLine(t *testing.T) {
	s := start(t, Function{Environments: 2, Queue: 3})
	gate := t.TempDir() + "/gate"
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		r   report
		err error
	}
	results := make(chan outcome, 5)
	hold := func() {
		go func() {
			raw, err := s.Invoke(context.Background(), "f", order{Do: "wait", File: gate}.json())
			var r report
			_ = json.Unmarshal(raw, &r)
			results <- outcome{r, err}
		}()
	}
	hold()
	hold()
	p := s.pools["f"]
	running := func() (n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, ph := range p.all {
			if ph == busy {
				n++
			}
		}
		return n
	}
	eventually(t, "two invocations run in two environments", func() bool { return running() == 2 })
	waiting := func() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.line) }
	for range 3 {
		hold()
	}
	eventually(t, "three wait", func() bool { return waiting() == 3 })
	if _, err := s.Invoke(t.Context(), "f", []byte("{}")); !errors.Is(err, ErrTooManyRequests) {
		t.Errorf("a sixth gets %v, expected ErrTooManyRequests", err)
	}
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	pids := map[int]int{}
	for range 5 {
		o := <-results
		if o.err != nil {
			t.Error(o.err)
		}
		pids[o.r.PID]++
	}
	if len(pids) != 2 {
		t.Errorf("five invocations ran in %d environments, expected 2", len(pids))
	}
	if st := s.Stats()["f"]; st.Throttles != 1 || st.ColdStarts != 2 || st.Invocations != 5 {
		t.Errorf("stats: %+v", st)
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name, do string
		bytes    int
		kind     string
		message  string
		survives bool // the environment is used again
	}{
		{"error returned", "fail", 0, "errorString", "Unauthorized", true},
		{"panic", "panic", 0, "string", "as asked", false},
		{"exit", "exit", 0, "Runtime.ExitError", "exit status 3", false},
		{"killed", "kill", 0, "Runtime.ExitError", "signal: killed", false},
		{"response of 7 MB", "bytes", 7 << 20, "Function.ResponseSizeTooLarge", "6291456 bytes", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, Function{Environments: 1})
			before, err := invoke(t, s, order{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = invoke(t, s, order{Do: c.do, Bytes: c.bytes})
			var fe *FunctionError
			if !errors.As(err, &fe) || fe.Type != c.kind || !strings.Contains(fe.Message, c.message) {
				t.Fatalf("got %#v, expected a FunctionError %s with %q", err, c.kind, c.message)
			}
			if fe.crashed == c.survives {
				t.Errorf("told as a crash: %v", fe.crashed)
			}
			after, err := invoke(t, s, order{})
			if err != nil {
				t.Fatalf("the next invocation fails: %v", err)
			}
			if (after.PID == before.PID) != c.survives {
				t.Errorf("the environment survived: %v, expected %v", after.PID == before.PID, c.survives)
			}
		})
	}
}

func TestTimeoutKillsTheEnvironment(t *testing.T) {
	s := start(t, Function{Timeout: 300 * time.Millisecond, Environments: 1})
	before, err := invoke(t, s, order{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = invoke(t, s, order{Do: "sleep"})
	var fe *FunctionError
	if !errors.As(err, &fe) || fe.Type != "Sandbox.Timedout" || !strings.HasSuffix(fe.Message, "Task timed out after 0.30 seconds") {
		t.Fatalf("got %v", err)
	}
	eventually(t, "the process that took too long is gone", func() bool { return syscall.Kill(before.PID, 0) != nil })
	after, err := invoke(t, s, order{})
	if err != nil || after.PID == before.PID {
		t.Errorf("afterwards: %v in %d, before in %d", err, after.PID, before.PID)
	}
	if st := s.Stats()["f"]; st.Timeouts != 1 || st.Errors != 1 || st.ColdStarts != 2 {
		t.Errorf("stats: %+v", st)
	}
}

func TestInitFailures(t *testing.T) {
	for _, c := range []struct{ name, init, kind, message string }{
		{"exits", "exit", "Runtime.ExitError", "exit status 7"},
		{"hangs", "hang", "Init.Timeout", "0.40 seconds"},
		{"has no handler", "panic", "", "handler kind string is not func"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, Function{Env: []string{"INIT=" + c.init}, InitTimeout: 400 * time.Millisecond, Environments: 2})
			var wg sync.WaitGroup
			for range 3 { // more than environments: those in line must not wait for ever
				wg.Go(func() {
					_, err := invoke(t, s, order{})
					var fe *FunctionError
					if !errors.As(err, &fe) || (c.kind != "" && fe.Type != c.kind) || !strings.Contains(fe.Message, c.message) {
						t.Errorf("got %v, expected %s with %q", err, c.kind, c.message)
					}
				})
			}
			wg.Wait()
		})
	}
	t.Run("binary missing", func(t *testing.T) {
		s, err := New("r", "a", slog.New(slog.NewTextHandler(io.Discard, nil)), Function{Name: "f", Bootstrap: "/no/such/bootstrap"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var fe *FunctionError
		if _, err := s.Invoke(t.Context(), "f", nil); !errors.As(err, &fe) || fe.Type != "Runtime.ExitError" {
			t.Errorf("got %v", err)
		}
	})
}

func TestRefusals(t *testing.T) {
	s := start(t, Function{})
	if _, err := s.Invoke(t.Context(), "g", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown function: %v", err)
	}
	if _, err := s.Invoke(t.Context(), "f", make([]byte, MaxPayload+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("large payload: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Invoke(ctx, "f", []byte("{}")); !errors.Is(err, context.Canceled) {
		t.Errorf("caller gave up: %v", err)
	}
	s.Close()
	if _, err := s.Invoke(t.Context(), "f", []byte("{}")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestCloseEndsEverything closes while one invocation runs and one waits.
func TestCloseEndsEverything(t *testing.T) {
	s := start(t, Function{Environments: 1})
	r, err := invoke(t, s, order{})
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := s.Invoke(context.Background(), "f", order{Do: "sleep"}.json())
			results <- err
		}()
	}
	p := s.pools["f"]
	eventually(t, "one runs and one waits", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.line) == 1
	})
	s.Close()
	for range 2 {
		if err := <-results; !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, expected ErrClosed", err)
		}
	}
	if syscall.Kill(r.PID, 0) == nil {
		t.Error("a process is left after Close")
	}
}

func TestOutput(t *testing.T) {
	out, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	s := start(t, Function{Output: out})
	if _, err := invoke(t, s, order{Do: "print"}); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(out.Name())
	if !bytes.Contains(b, []byte("printed by the function\n")) {
		t.Errorf("log holds %q", b)
	}
}
