package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/gobwas/ws"
)

// manage serves the @connections management API: POST sends a message, GET tells
// about a connection, DELETE closes it. Requests are signed (Signature Version 4)
// for the service execute-api.
func (a *WebSocket) manage(w http.ResponseWriter, r *http.Request, id string) {
	status := a.managed(w, r, id)
	if r.Method == http.MethodPost {
		a.counters.post(status)
	}
}

// managed serves one call and returns the status that it wrote.
func (a *WebSocket) managed(w http.ResponseWriter, r *http.Request, id string) int {
	refuse := func(status int, exception, message string) int {
		fail(w, status, exception, message)
		return status
	}
	if a.mischief.get().Down {
		return refuse(http.StatusServiceUnavailable, "ServiceUnavailableException", "Service Unavailable")
	}
	if !a.requests.AllowN(a.opts.Clock.Now(), 1) {
		return refuse(http.StatusTooManyRequests, "LimitExceededException", "Too Many Requests")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(a.opts.Quotas.Message)))
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return refuse(http.StatusRequestEntityTooLarge, "PayloadTooLargeException", "Message too long")
	case err != nil:
		return refuse(http.StatusBadRequest, "BadRequestException", "Request cut off")
	}
	if err := a.verify(r, body); err != nil {
		return refuse(http.StatusForbidden, err.exception, err.message)
	}
	if !isID(id) {
		return refuse(http.StatusBadRequest, "BadRequestException", "Invalid connectionId: "+id)
	}
	c := a.find(id)
	if c == nil {
		return refuse(http.StatusGone, "GoneException", "Gone")
	}
	switch r.Method {
	case http.MethodPost:
		switch err := a.post(c, body); {
		case errors.Is(err, errFull):
			return refuse(http.StatusTooManyRequests, "LimitExceededException", "The client's buffer is full")
		case err != nil:
			return refuse(http.StatusGone, "GoneException", "Gone")
		}
		w.WriteHeader(http.StatusOK)
		return http.StatusOK
	case http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(c.describe())
		return http.StatusOK
	case http.MethodDelete:
		c.close(ws.StatusNormalClosure, "Connection Closed Normally")
		w.WriteHeader(http.StatusNoContent)
		return http.StatusNoContent
	default:
		return refuse(http.StatusForbidden, "ForbiddenException", "Forbidden")
	}
}

// description is the answer to GET.
type description struct {
	ConnectedAt  string   `json:"connectedAt"`
	Identity     identity `json:"identity"`
	LastActiveAt string   `json:"lastActiveAt"`
}

func (c *connection) describe() description {
	c.mu.Lock()
	defer c.mu.Unlock()
	return description{stamp(c.connectedAt), c.identity, stamp(c.lastActive)}
}

// post delivers a message, or does to it what the faults say.
func (a *WebSocket) post(c *connection, body []byte) error {
	f := a.mischief.post()
	switch {
	case a.mischief.cut(c):
		return nil
	case f.refuse:
		return errFull
	case f.drop:
		a.log.Info("fault: post dropped", "connection", c.id)
		return nil
	case f.hold:
		a.log.Info("fault: post held back", "connection", c.id)
		c.hold(body)
		a.opts.Clock.AfterFunc(holdTime, c.release)
		return nil
	case f.delay > 0:
		a.log.Info("fault: post delayed", "connection", c.id, "by", f.delay)
		a.opts.Clock.AfterFunc(f.delay, func() { c.deliver(body, f.copies) })
		return nil
	}
	return c.deliver(body, f.copies)
}

// deliver sends a post, and then those that it was meant to overtake.
func (c *connection) deliver(body []byte, copies int) error {
	defer c.release()
	for range copies {
		if err := c.send(body); err != nil {
			return err
		}
	}
	return nil
}

func (c *connection) hold(body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = append(c.held, body)
}

// release sends what was held back. The poster was told 200 already, so an error
// has nobody to go to.
func (c *connection) release() {
	c.mu.Lock()
	held := c.held
	c.held = nil
	c.mu.Unlock()
	for _, body := range held {
		_ = c.send(body)
	}
}
