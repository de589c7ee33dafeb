package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// client asks the HTTP API.
type client struct{ url, key string }

// mostBytes bounds an answer.
const mostBytes = 32 << 20

// do sends a request and decodes the answer. What the API refuses is an error in
// its words.
func (c client) do(ctx context.Context, method, path string, into any) error {
	if c.url == "" || c.key == "" {
		return errors.New("where to ask is not known: set SPILLWAY_API_URL and SPILLWAY_API_KEY, or --url and --key")
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.url, "/")+path, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", c.url, err)
	}
	r.Header.Set("Authorization", "Bearer "+c.key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, mostBytes))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		var told struct{ Code, Text string }
		if json.Unmarshal(body, &told) == nil && told.Code != "" {
			return fmt.Errorf("%s %s: %s: %s", method, path, told.Code, told.Text)
		}
		return fmt.Errorf("%s %s: %s", method, path, answer.Status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s does not answer as Spillway's API does: %w", c.url, err)
	}
	return nil
}

// show prints an answer as it is for programs, or in a table that rows makes of
// it.
func show[T any](ctx context.Context, c client, out output, path string, rows func(T) [][]string) error {
	var raw json.RawMessage
	if err := c.do(ctx, http.MethodGet, path, &raw); err != nil {
		return err
	}
	if out.json {
		return out.asJSON(raw)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("%s does not answer as this version of spillway expects: %w", path, err)
	}
	return out.table(rows(v))
}
