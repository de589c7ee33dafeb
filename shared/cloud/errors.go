package cloud

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/spillway-sfu/spillway/shared/step"
)

// codeOf returns AWS's code of an error, empty if it has none.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// statusOf returns the HTTP status of an error's answer, 0 if there was none.
func statusOf(err error) int {
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) {
		return re.HTTPStatusCode()
	}
	return 0
}

// storeError translates what DynamoDB answers. A transaction is in conflict
// where a condition failed or another one touches the same item; where only
// throttling stopped it, it is busy.
func storeError(err error) error {
	var cancelled *types.TransactionCanceledException
	if errors.As(err, &cancelled) {
		verdict := error(step.ErrBusy)
		for _, r := range cancelled.CancellationReasons {
			if r.Code == nil {
				continue
			}
			switch *r.Code {
			case "ConditionalCheckFailed", "TransactionConflict":
				verdict = step.ErrConflict
			case "None", "ThrottlingError", "ProvisionedThroughputExceeded":
			default:
				return fmt.Errorf("transaction cancelled: %w", err)
			}
		}
		return verdict
	}
	switch codeOf(err) {
	case "ConditionalCheckFailedException", "TransactionConflictException":
		return step.ErrConflict
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "TransactionInProgressException":
		return step.ErrBusy
	}
	return err
}

// pushError translates what the gateway answers to a post.
func pushError(err error) error {
	if err == nil {
		return nil
	}
	switch statusOf(err) {
	case http.StatusGone:
		return step.ErrGone
	case http.StatusTooManyRequests:
		return step.ErrBusy
	}
	switch codeOf(err) {
	case "GoneException":
		return step.ErrGone
	case "LimitExceededException", "ThrottlingException":
		return step.ErrBusy
	}
	return fmt.Errorf("post to connection: %w", err)
}
