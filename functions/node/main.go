// Command node serves what nodes say on the WebSocket API: hello, heartbeat,
// answered, left, and what they log and measure.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

func main() {
	config, secrets := wire.MustLoad(context.Background(), "node", cloud.RootParameter)
	world := config.World(secrets.Root)
	lambda.Start(wire.Serve(world, secrets.Root, routes{world, secrets.Root, metricsOut(config.Stack)}.handle))
}
