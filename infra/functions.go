package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/jsii-runtime-go"

	"github.com/spillway-sfu/spillway/shared/cloud"
)

// function is one function of the stack.
type function struct {
	id             string
	name, arn, log *string // log is its log group's name
}

// design is what a function is given. Memory buys processor time, which is what
// a join waits for.
type design struct {
	memory, timeout int
	// reserved is its share of the account's quota, in percent: 0 reserves none.
	// Heartbeats must not wait for a crowd of joins, nor sweeps for either, and a
	// customer's backend that runs wild must not keep people out.
	reserved int
	traced   bool
	allowed  []statement
}

func (d *stack) designs() map[string]design {
	own := allow([]string{"dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem",
		"dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"}, d.tableArn)
	index := allow([]string{"dynamodb:Query"}, jsii.String(*d.tableArn+"/index/*"))
	post := allow([]string{"execute-api:ManageConnections"}, d.arn("execute-api", "%s/%s/POST/@connections/*", *d.socketAPI, stage),
		d.arn("execute-api", "%s/%s/DELETE/@connections/*", *d.socketAPI, stage))
	ask := allow([]string{"events:PutEvents"}, d.busArn)
	secrets := func(names ...func(string) string) statement {
		var arns []*string
		for _, name := range names {
			arns = append(arns, d.arn("ssm", "parameter%s", name(d.settings.Stack)))
		}
		// Their names begin with a slash, so that parameter and name join without one.
		return allow([]string{"ssm:GetParameters"}, arns...)
	}
	failures := allow([]string{"sqs:SendMessage"}, d.dead.arn)
	return map[string]design{
		"authorize":   {1024, 10, 0, true, []statement{secrets(cloud.JoinKeysParameter, cloud.RootParameter)}},
		"participant": {1024, 29, 0, true, []statement{own, index, post, ask, secrets(cloud.RootParameter)}},
		"node":        {1024, 29, 20, false, []statement{own, index, post, ask, secrets(cloud.RootParameter)}},
		"fleet":       {1024, 120, 1, true, append([]statement{own, index, post, ask, secrets(cloud.RootParameter), failures}, d.mayLaunch()...)},
		"rooms":       {512, 29, 5, true, []statement{own, index, post, ask, secrets(cloud.APIKeysParameter, cloud.RootParameter)}},
	}
}

func (d *stack) addFunctions() {
	designs := d.designs()
	for _, name := range functionNames {
		d.addFunction(name, designs[name], d.environment(name))
	}
}

// environment is what a function is told; fleet alone launches.
func (d *stack) environment(name string) map[string]*string {
	env := map[string]*string{
		"SPILLWAY_STACK": jsii.String(d.settings.Stack), "SPILLWAY_LOG": jsii.String(d.settings.LogLevel),
	}
	if name == "authorize" {
		return env
	}
	env["SPILLWAY_TABLE"], env["SPILLWAY_BUS"] = d.tableName, d.busName
	env["SPILLWAY_CALLBACK_URL"], env["SPILLWAY_SOCKET_URL"] = d.callbackURL(), d.socketURL()
	env["SPILLWAY_INSTANCE_TYPE"] = jsii.String(d.settings.InstanceTypes[0])
	env["SPILLWAY_INSTANCE_TYPES"] = jsii.String(strings.Join(d.settings.InstanceTypes, ","))
	env["SPILLWAY_MAX_NODES"] = jsii.String(strconv.Itoa(d.settings.MaxNodes))
	env["SPILLWAY_NODES_PER_ROOM"] = jsii.String(strconv.Itoa(d.settings.NodesPerRoom))
	env["SPILLWAY_IDLE_AFTER"] = jsii.String(fmt.Sprintf("%dm", d.settings.IdleMinutes))
	env["SPILLWAY_SPARE_SEATS"] = jsii.String(strconv.Itoa(d.settings.SpareSeats))
	env["SPILLWAY_DRAIN_WITHIN"] = jsii.String(fmt.Sprintf("%dm", d.settings.DrainMinutes))
	env["SPILLWAY_NODE_VERSION"] = jsii.String(*d.template.version + "-" + d.node.sha256[:12])
	env["SPILLWAY_REPLACE_PER_MINUTE"] = jsii.String(strconv.Itoa(d.settings.ReplacePeople))
	env["SPILLWAY_CONSOLIDATE"] = jsii.String(d.settings.Consolidate)
	env["SPILLWAY_MAX_CENTS_PER_HOUR"] = jsii.String(strconv.Itoa(int(math.Round(d.settings.BudgetPerHour * 100))))
	if name == "node" && !d.settings.Metrics {
		env["SPILLWAY_EMF"] = jsii.String("off")
	}
	if name == "fleet" {
		d.launchEnvironment(env)
	}
	return env
}

func (d *stack) addFunction(name string, c design, env map[string]*string) {
	id := title(name)
	log := d.logGroup(id, "/spillway/"+d.settings.Stack+"/"+name)
	allowed := append([]statement{allow([]string{"logs:CreateLogStream", "logs:PutLogEvents"}, log.AttrArn())}, c.allowed...)
	tracing := "PassThrough"
	if c.traced && d.settings.Tracing {
		tracing = "Active"
		allowed = append(allowed, allow([]string{"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, jsii.String("*")))
	}
	role := d.role(id, "lambda.amazonaws.com", nil, allowed...)
	code := awss3assets.NewAsset(d.scope, jsii.String(id+"Code"), &awss3assets.AssetProps{Path: jsii.String(d.packages.folder(name))})
	props := &awslambda.CfnFunctionProps{
		Description: jsii.String("Spillway " + d.settings.Stack + ": " + name), Architectures: jsii.Strings("arm64"),
		Runtime: jsii.String("provided.al2023"), Handler: jsii.String("bootstrap"), Role: role.AttrArn(),
		Code:       &awslambda.CfnFunction_CodeProperty{S3Bucket: code.S3BucketName(), S3Key: code.S3ObjectKey()},
		MemorySize: jsii.Number(c.memory), Timeout: jsii.Number(c.timeout),
		LoggingConfig: &awslambda.CfnFunction_LoggingConfigProperty{LogGroup: log.Ref()},
		TracingConfig: &awslambda.CfnFunction_TracingConfigProperty{Mode: &tracing},
		Environment:   &awslambda.CfnFunction_EnvironmentProperty{Variables: &env},
		Tags:          d.tagList(),
	}
	if n := d.settings.Concurrency * c.reserved / 100; n > 0 && d.settings.Concurrency >= 400 {
		props.ReservedConcurrentExecutions = jsii.Number(n)
	}
	f := awslambda.NewCfnFunction(d.scope, jsii.String(id+"Function"), props)
	if d.parameter != nil { // a function that finds no secrets does not start
		f.Node().AddDependency(d.parameter)
	}
	d.functions[name] = &function{name, f.Ref(), f.AttrArn(), log.Ref()}
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// routeID makes a construct's id of a route's key.
func routeID(key string) string { return title(strings.TrimPrefix(key, "$")) }
