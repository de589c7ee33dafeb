// Command participant serves what browsers say on the WebSocket API: join,
// leave, what no route takes, and closed connections.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

func main() {
	config, secrets := wire.MustLoad(context.Background(), "participant", cloud.RootParameter)
	world := config.World(secrets.Root)
	lambda.Start(wire.Serve(world, secrets.Root, routes{world}.handle))
}
