// Command rooms is the HTTP API for the customer's backend and operators: rooms
// and nodes as the table has them.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

func main() {
	config, secrets := wire.MustLoad(context.Background(), "rooms", cloud.APIKeysParameter)
	world := config.World(secrets.Root)
	lambda.Start(api{world, secrets.APIKeys, config.Log}.serve)
}
