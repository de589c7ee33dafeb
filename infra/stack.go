package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/spillway-sfu/spillway/infra/settings"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

// stack is what one Region has of a deployment, while it is put together. Its
// methods each add a group of resources, in the order in which one needs the
// other.
type stack struct {
	scope    awscdk.Stack
	settings settings.Settings
	packages Packages
	node     program

	functions map[string]*function
	tableName *string
	tableArn  *string
	socketAPI *string // id
	httpAPI   *string // id
	busName   *string
	busArn    *string
	dead      queue
	template  *template
	subnets   []awsec2.CfnSubnet
	asset     awss3assets.Asset
	parameter constructs.IDependable // the secrets exist
}

func newStack(app awscdk.App, s settings.Settings, p Packages, node program, region string) awscdk.Stack {
	env := &awscdk.Environment{}
	if region != "" {
		env.Region = &region
	}
	name := "spillway-" + s.Stack
	scope := awscdk.NewStack(app, jsii.String(stackID(s, region)), &awscdk.StackProps{
		StackName: &name, Env: env, AnalyticsReporting: jsii.Bool(false),
		Description:           jsii.String("Spillway " + s.Stack + ": a WebRTC SFU that runs only while somebody is in a room"),
		TerminationProtection: jsii.Bool(s.DeletionPolicy == settings.Keep),
	})
	d := &stack{scope: scope, settings: s, packages: p, node: node, functions: map[string]*function{}}
	d.addTags()
	d.addTable()
	d.addBus()
	d.addSocketAPI()
	d.addHTTPAPI()
	d.addSecrets()
	d.addNodes()
	d.addFunctions()
	d.addRoutes()
	d.addRules()
	d.addTimer()
	d.addDomain()
	d.addMetrics()
	d.addAlarms()
	d.addDashboard()
	d.addOutputs()
	return scope
}

// stackID names a stack within the app: where there are several Regions, each
// has one.
func stackID(s settings.Settings, region string) string {
	if len(s.Regions) > 1 {
		return "spillway-" + s.Stack + "-" + region
	}
	return "spillway-" + s.Stack
}

// name is the physical name of what must have one. It holds the stack's name, so
// that several deployments in one account and Region do not collide.
func (d *stack) name() *string { return jsii.String("spillway-" + d.settings.Stack) }

// tags are those of everything: for cost allocation, and to know ours by.
func (d *stack) tags() map[string]string {
	tags := maps.Clone(d.settings.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[cloud.TagStack] = d.settings.Stack
	return tags
}

func (d *stack) addTags() {
	tags := d.tags()
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		awscdk.Tags_Of(d.scope).Add(jsii.String(key), jsii.String(tags[key]), nil)
	}
}

// tagList is for resources that the CDK does not tag by itself.
func (d *stack) tagList() *[]*awscdk.CfnTag {
	var list []*awscdk.CfnTag
	tags := d.tags()
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, &awscdk.CfnTag{Key: jsii.String(key), Value: jsii.String(tags[key])})
	}
	return &list
}

// arn is an ARN of this account and Region.
func (d *stack) arn(service, format string, args ...any) *string {
	return jsii.String(fmt.Sprintf("arn:%s:%s:%s:%s:%s", *d.scope.Partition(), service, *d.scope.Region(), *d.scope.Account(), fmt.Sprintf(format, args...)))
}

// removal applies the deletion policy to what holds data.
func (d *stack) removal(r awscdk.CfnResource) {
	policy := awscdk.RemovalPolicy_DESTROY
	if d.settings.DeletionPolicy == settings.Keep {
		policy = awscdk.RemovalPolicy_RETAIN
	}
	r.ApplyRemovalPolicy(policy, nil)
}

func (d *stack) output(name, description string, value *string) {
	awscdk.NewCfnOutput(d.scope, jsii.String(name), &awscdk.CfnOutputProps{Value: value, Description: &description})
}

func (d *stack) addOutputs() {
	d.output("SocketURL", "What browsers connect to", d.socketURL())
	d.output("ApiURL", "Base of the HTTP API, for backends and the spillway command", d.apiURL())
	d.output("JoinKeys", "SSM parameter with the keys that sign join tokens", jsii.String(cloud.JoinKeysParameter(d.settings.Stack)))
	d.output("ApiKeys", "SSM parameter with the keys of the HTTP API", jsii.String(cloud.APIKeysParameter(d.settings.Stack)))
	d.output("Build", "SHA-256 of the node's program", jsii.String(d.node.sha256))
}
