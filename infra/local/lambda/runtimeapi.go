package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// api serves the Runtime API of one environment.
func (e *environment) api() http.Handler {
	const base = "/2018-06-01/runtime"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+base+"/invocation/next", e.serveNext)
	mux.HandleFunc("POST "+base+"/invocation/{id}/response", e.serveResponse)
	mux.HandleFunc("POST "+base+"/invocation/{id}/error", e.serveError)
	mux.HandleFunc("POST "+base+"/init/error", e.serveInitError)
	return mux
}

func (e *environment) serveNext(w http.ResponseWriter, r *http.Request) {
	inv, err := e.take(r.Context())
	if err != nil {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", err.Error())
		return
	}
	if inv == nil {
		refuse(w, http.StatusGone, "Shutdown", "the environment is going away")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.started.Add(e.pool.function.Timeout).UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", e.pool.arn)
	h.Set("Lambda-Runtime-Trace-Id", fmt.Sprintf("Root=1-%08x-%.24s;Sampled=0", inv.started.Unix(), inv.id[9:13]+inv.id[14:18]+inv.id[19:23]+inv.id[24:]))
	// A failed write means that the environment dies; run answers for it then.
	_, _ = w.Write(inv.payload)
}

func (e *environment) serveResponse(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxPayload))
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		e.settle(r.PathValue("id"), nil, &FunctionError{Type: typeTooBig, crashed: true,
			Message: fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxPayload)})
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "response exceeds 6 MB")
	case err != nil:
		refuse(w, http.StatusBadRequest, "BadRequest", "response cut off")
	case !e.settle(r.PathValue("id"), body, nil):
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "no such invocation is running here")
	default:
		accepted(w)
	}
}

func (e *environment) serveError(w http.ResponseWriter, r *http.Request) {
	if !e.settle(r.PathValue("id"), nil, readError(r)) {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "no such invocation is running here")
		return
	}
	accepted(w)
}

func (e *environment) serveInitError(w http.ResponseWriter, r *http.Request) {
	why := readError(r)
	why.crashed = true
	accepted(w)
	e.end(why)
}

// readError reads what a runtime reports: a JSON object, or, if it is none, a
// header with the type.
func readError(r *http.Request) *FunctionError {
	var reported struct {
		FunctionError
		StackTrace json.RawMessage `json:"stackTrace"`
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, MaxPayload))
	if json.Unmarshal(body, &reported) != nil {
		reported.Message = string(body)
	}
	reported.crashed = len(reported.StackTrace) > 0 && string(reported.StackTrace) != "null" // a panic, after which the runtime exits
	if reported.Type == "" {
		reported.Type = r.Header.Get("Lambda-Runtime-Function-Error-Type")
	}
	if reported.Type == "" {
		reported.Type = "Runtime.Unknown"
	}
	return &reported.FunctionError
}

func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`+"\n")
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(FunctionError{Type: kind, Message: message})
}
