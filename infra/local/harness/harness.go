// Package harness starts a local stack for a test or a measurement, speaks to it
// as browsers and backends do, and ends it.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/coder/websocket"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/process"
	"github.com/spillway-sfu/spillway/shared/cloud"
	"github.com/spillway-sfu/spillway/shared/token"
)

// Stack is a running local stack on a free port. Its methods may be called by
// several goroutines.
type Stack struct {
	Demo          string `json:"demo"`
	Socket        string `json:"socket"`
	API           string `json:"api"`
	Key           string `json:"key"`
	JoinKeyID     string `json:"joinKeyID"`
	JoinKeySecret string `json:"joinKeySecret"`
	Logs          string `json:"logs"`
	AWS           string `json:"aws"`
	Table         string `json:"table"`

	dir     string
	process *process.Process
}

// Start runs the stack that `make build` has built below root, with further
// environment as KEY=VALUE, and returns when it is ready. Its output goes to out.
func Start(ctx context.Context, root string, out io.Writer, env ...string) (*Stack, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	build := filepath.Join(root, "build", "local")
	binary := filepath.Join(build, "spillway-local")
	if _, err := os.Stat(binary); err != nil {
		return nil, errors.New("the local stack is not built: run make build")
	}
	dir, err := os.MkdirTemp("", "spillway-harness-")
	if err != nil {
		return nil, err
	}
	s := &Stack{dir: dir}
	ready := filepath.Join(dir, "ready.json")
	cmd := exec.Command(binary)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "PORT=0", "READY_FILE="+ready, "LOG_DIR="+filepath.Join(dir, "logs"))
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = out, out
	if s.process, err = process.Start(cmd); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.wait(ctx, ready); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Stack) wait(ctx context.Context, ready string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if data, err := os.ReadFile(ready); err == nil {
			return json.Unmarshal(data, s)
		}
		select {
		case <-s.process.Done():
			return fmt.Errorf("the stack ended at once: %w", s.process.Err())
		case <-ctx.Done():
			return fmt.Errorf("the stack is not ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// Stop ends the stack and everything it started.
func (s *Stack) Stop() {
	s.process.Stop(15 * time.Second)
	_ = os.RemoveAll(s.dir) // a temporary folder
}

// PID is the stack's process.
func (s *Stack) PID() int { return s.process.PID() }

// Done is closed when the stack has ended.
func (s *Stack) Done() <-chan struct{} { return s.process.Done() }

// Err waits for the end of the stack and tells how it ended: nil after exit code
// 0.
func (s *Stack) Err() error { return s.process.Err() }

// Mint signs a join token with the stack's key.
func (s *Stack) Mint(c token.Claims) (string, error) {
	return token.Mint(s.JoinKeyID, s.JoinKeySecret, c)
}

// Call makes a request of the HTTP API, or of what exists locally only, and
// decodes its answer. The path begins with a slash.
func (s *Stack) Call(ctx context.Context, method, path string, into any) error {
	return s.call(ctx, method, path, nil, into)
}

// Post makes a request with a body in JSON; into may be nil.
func (s *Stack) Post(ctx context.Context, path string, body, into any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return s.call(ctx, http.MethodPost, path, bytes.NewReader(raw), into)
}

func (s *Stack) call(ctx context.Context, method, path string, body io.Reader, into any) error {
	base, err := url.Parse(s.Demo)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, base.Scheme+"://"+base.Host+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.Key)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(r.Body)
		return fmt.Errorf("%s %s: %s: %s", method, path, r.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(r.Body).Decode(into)
}

// config reaches the services behind the stack.
func (s *Stack) config() aws.Config {
	return aws.Config{Region: "us-east-1", BaseEndpoint: &s.AWS,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "harness", SecretAccessKey: "harness"}, nil
		})}
}

// Items lists the keys of everything in the table.
func (s *Stack) Items(ctx context.Context) ([]string, error) {
	return cloud.NewStore(dynamodb.NewFromConfig(s.config()), s.Table).Dump(ctx)
}

// Root is the stack's root secret, with which a test can forge what an attacker
// could not.
func (s *Stack) Root(ctx context.Context) (token.Root, error) {
	name := cloud.RootParameter("dev")
	values, err := cloud.LoadSecrets(ctx, s.config(), name)
	if err != nil {
		return nil, err
	}
	return token.ParseRoot(values[name])
}

// Conn is a connection to the stack's WebSocket API.
type Conn struct{ ws *websocket.Conn }

// Dial opens a connection with a token; status is the handshake's.
func (s *Stack) Dial(ctx context.Context, accessToken string) (c *Conn, status int, err error) {
	return s.DialWith(ctx, accessToken, "")
}

// DialWith opens a connection with a token and a resume ticket.
func (s *Stack) DialWith(ctx context.Context, accessToken, ticket string) (c *Conn, status int, err error) {
	query := url.Values{}
	if accessToken != "" {
		query.Set("access_token", accessToken)
	}
	if ticket != "" {
		query.Set("resume", ticket)
	}
	u := s.Socket
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	ws, response, err := websocket.Dial(ctx, u, nil)
	if response != nil {
		status = response.StatusCode
	}
	if err != nil {
		return nil, status, err
	}
	ws.SetReadLimit(events.MaxMessage)
	return &Conn{ws}, status, nil
}

// Send sends a message as JSON.
func (c *Conn) Send(ctx context.Context, m any) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return c.Write(ctx, websocket.MessageText, data)
}

// Write sends bytes as they are, in one frame.
func (c *Conn) Write(ctx context.Context, kind websocket.MessageType, data []byte) error {
	return c.ws.Write(ctx, kind, data)
}

// Next returns the next message, which must be one that the gateway sends to
// browsers or nodes. When the connection is closed the error is a
// [websocket.CloseError].
func (c *Conn) Next(ctx context.Context) (events.Message, error) {
	data, err := c.Read(ctx)
	if err != nil {
		return nil, err
	}
	m, err := events.Decode(events.ToClient, data)
	if err != nil {
		if m, second := events.Decode(events.ToNode, data); second == nil {
			return m, nil
		}
		return nil, fmt.Errorf("%s: %w", data, err)
	}
	return m, nil
}

// Read returns the next message as it is.
func (c *Conn) Read(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, data, err := c.ws.Read(ctx)
	return data, err
}

// Close closes the connection.
func (c *Conn) Close() { _ = c.ws.Close(websocket.StatusNormalClosure, "") }
