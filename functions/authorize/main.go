// Command authorize is the authorizer of the WebSocket API: it turns the token
// of a connection into the context that every later message of it carries.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

func main() {
	ctx := context.Background()
	config, vault := wire.MustLoad(ctx, "authorize", cloud.JoinKeysParameter, cloud.RootParameter)
	lambda.Start(authorizer{vault, config.Log, time.Now}.authorize)
}
