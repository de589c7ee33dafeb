// Command fleet looks after nodes: it serves those who wait and launches nodes
// for them, and sweeps what is idle, dead or orphaned. The timer, the event bus
// and EC2's state changes wake it.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

func main() {
	config, secrets := wire.MustLoad(context.Background(), "fleet", cloud.RootParameter)
	world := config.World(secrets.Root)
	world.Instances = cloud.NewFleet(config.AWS, cloud.FleetConfig{
		Program: config.Program, Version: config.TemplateVersion, SpotPercent: config.SpotPercent, Tags: config.Tags,
		Stack: config.Stack, Template: config.Template, Subnets: config.Subnets, SocketURL: config.SocketURL, Tokens: secrets.Root, Log: config.Log})
	lambda.Start(waker{world, config.Log}.wake)
}
