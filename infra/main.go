// Command infra is the deployment as an app of AWS's Cloud Development Kit: it
// reads the settings and writes a CloudFormation template for each Region, with
// what the stack is made of. It needs no AWS account for that.
//
//	SPILLWAY_SETTINGS  the settings' file; spillway.json, which may be absent
//	SPILLWAY_LAMBDA    where the functions are built; build/lambda
//	SPILLWAY_NODE      the node's program; build/node/sfu-node
//	SPILLWAY_OUTPUT    where to write; what the CDK's command says, or build/cdk.out
package main

import (
	"cmp"
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/spillway-sfu/spillway/infra/settings"
)

func main() {
	s, err := settings.Read(cmp.Or(os.Getenv("SPILLWAY_SETTINGS"), settings.File))
	if err == nil {
		err = synth(s, Packages{cmp.Or(os.Getenv("SPILLWAY_LAMBDA"), "build/lambda"), cmp.Or(os.Getenv("SPILLWAY_NODE"), "build/node/sfu-node")},
			cmp.Or(os.Getenv("SPILLWAY_OUTPUT"), os.Getenv("CDK_OUTDIR"), "build/cdk.out"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "spillway:", err)
		os.Exit(1)
	}
}

// synth writes the deployment to a folder. Its error is a sentence about what
// the caller gave; faults of ours panic, as the CDK does.
func synth(s settings.Settings, p Packages, out string) error {
	if err := p.check(); err != nil {
		return err
	}
	defer jsii.Close()
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: &out, AnalyticsReporting: jsii.Bool(false), TreeMetadata: jsii.Bool(false)})
	if _, err := deploy(app, s, p); err != nil {
		return err
	}
	app.Synth(nil)
	return nil
}

// deploy adds a stack for each Region to the app.
func deploy(app awscdk.App, s settings.Settings, p Packages) ([]awscdk.Stack, error) {
	node, err := readProgram(p.Node)
	if err != nil {
		return nil, err
	}
	var stacks []awscdk.Stack
	regions := s.Regions
	if len(regions) == 0 {
		regions = []string{os.Getenv("CDK_DEFAULT_REGION")}
	}
	for _, region := range regions {
		stacks = append(stacks, newStack(app, s, p, node, region))
	}
	return stacks, nil
}
