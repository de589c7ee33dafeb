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
	config, vault := wire.MustLoad(context.Background(), "rooms", cloud.APIKeysParameter, cloud.RootParameter)
	world := config.World(vault.Root)
	lambda.Start(api{world, vault, config.Log}.serve)
}
