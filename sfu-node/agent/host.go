package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// What a machine is told by its host, at the instance metadata service, version
// 2 (EC2 User Guide, "Spot Instance interruption notices" and "View scheduled
// events"). Paths that do not exist mean that there is nothing to tell.
const (
	hostTokenPath       = "/latest/api/token"
	hostSpotPath        = "/latest/meta-data/spot/instance-action"
	hostMaintenancePath = "/latest/meta-data/events/maintenance/scheduled"

	hostTimeout   = 2 * time.Second
	hostTokenLife = 6 * time.Hour
	hostAnswer    = 64 << 10 // more is not read
)

// host asks a machine's host whether it will take the machine away. One
// goroutine uses it.
type host struct {
	url     string
	client  http.Client
	token   string
	expires time.Time
}

// watchHost asks every so often until the machine is to be taken away, which it
// then says in every heartbeat, beginning at once.
func (a *Agent) watchHost() {
	h := host{url: a.cfg.Host, client: http.Client{Timeout: hostTimeout}}
	failures := 0
	for a.ctx.Err() == nil {
		ends, err := h.ends(a.ctx, time.Now())
		switch {
		case err != nil:
			if failures++; failures == 1 && a.ctx.Err() == nil {
				a.log.Warn("the machine's host does not say whether it takes it away", "error", err)
			}
		case !ends.IsZero():
			a.log.Warn("the host takes the machine away", "at", ends)
			a.mu.Lock()
			a.ends = ends
			a.mu.Unlock()
			select {
			case a.beat <- struct{}{}:
			default:
			}
			return
		default:
			failures = 0
		}
		a.pause(a.cfg.HostEvery)
	}
}

// ends is when the machine will be taken away; the zero time is never, as far as
// is known. A maintenance that is more than a day away is not told yet.
func (h *host) ends(ctx context.Context, now time.Time) (time.Time, error) {
	var spot struct {
		Action string    `json:"action"`
		Time   time.Time `json:"time"`
	}
	if there, err := h.get(ctx, now, hostSpotPath, &spot); err != nil || there && !spot.Time.IsZero() {
		return spot.Time, err
	}
	var maintenance []struct {
		NotBefore string
		State     string
	}
	if _, err := h.get(ctx, now, hostMaintenancePath, &maintenance); err != nil {
		return time.Time{}, err
	}
	for _, m := range maintenance {
		at, err := time.Parse("2 Jan 2006 15:04:05 MST", m.NotBefore)
		if err != nil {
			return time.Time{}, fmt.Errorf("maintenance at %q: %w", m.NotBefore, err)
		}
		if m.State == "active" && at.Sub(now) < 24*time.Hour {
			return at, nil
		}
	}
	return time.Time{}, nil
}

// get reads what is at a path as JSON. It reports false when there is nothing.
func (h *host) get(ctx context.Context, now time.Time, path string, into any) (bool, error) {
	if now.After(h.expires) {
		header := http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {fmt.Sprint(int(hostTokenLife.Seconds()))}}
		status, token, err := h.ask(ctx, http.MethodPut, hostTokenPath, header)
		if err != nil || status != http.StatusOK {
			return false, errors.Join(fmt.Errorf("ask for a metadata token: status %d", status), err)
		}
		h.token, h.expires = string(token), now.Add(hostTokenLife/2)
	}
	status, body, err := h.ask(ctx, http.MethodGet, path, http.Header{"X-Aws-Ec2-Metadata-Token": {h.token}})
	switch {
	case err != nil:
		return false, err
	case status == http.StatusNotFound:
		return false, nil
	case status == http.StatusUnauthorized:
		h.expires = time.Time{}
		fallthrough
	case status != http.StatusOK:
		return false, fmt.Errorf("ask for %s: status %d", path, status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return true, nil
}

func (h *host) ask(ctx context.Context, method, path string, header http.Header) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, h.url+path, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Header = header
	response, err := h.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, hostAnswer))
	return response.StatusCode, body, err
}
