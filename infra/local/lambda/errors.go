package lambda

import (
	"errors"
	"fmt"
	"time"
)

// The errors of [Service.Invoke] for which the function was not run.
var (
	ErrNotFound        = errors.New("no such function")
	ErrTooManyRequests = errors.New("too many requests: all environments are busy and the line is full")
	ErrTooLarge        = errors.New("payload exceeds 6 MB")
	ErrClosed          = errors.New("the service is closed")
)

// errRetired ends environments whose function was configured anew.
var errRetired = errors.New("the function was configured anew")

// Error types that Lambda itself reports.
const (
	typeTimeout = "Sandbox.Timedout"
	typeExit    = "Runtime.ExitError"
	typeInit    = "Init.Timeout"
	typeTooBig  = "Function.ResponseSizeTooLarge"
)

// FunctionError is how a failed invocation ended. Its JSON is what Lambda
// returns as payload together with the header X-Amz-Function-Error.
type FunctionError struct {
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`

	crashed bool // the environment did not survive it
}

// Error gives type and message.
func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// FunctionMessage returns what the function said: API Gateway reads it to tell
// a refused token from a broken authorizer.
func (e *FunctionError) FunctionMessage() string { return e.Message }

func timedOut(id string, after time.Duration) *FunctionError {
	return &FunctionError{Type: typeTimeout, crashed: true,
		Message: fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", id, after.Seconds())}
}

func exited(id string, how error) *FunctionError {
	what := "Runtime exited without providing a reason"
	if how != nil {
		what = "Runtime exited with error: " + how.Error()
	}
	return &FunctionError{Type: typeExit, crashed: true, Message: fmt.Sprintf("RequestId: %s Error: %s", id, what)}
}
