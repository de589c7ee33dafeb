package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/spillway-sfu/spillway/infra/settings"
)

// addSecrets has a function make the secrets at the first deployment, as
// CloudFormation cannot make a SecureString. It never changes one that is there,
// and removes them with the stack unless they are to be kept.
func (d *stack) addSecrets() {
	arn := d.arn("ssm", "parameter/spillway/%s/*", d.settings.Stack)
	d.addFunction(secretsMaker, design{memory: 256, timeout: 30, allowed: []statement{
		allow([]string{"ssm:PutParameter", "ssm:DeleteParameters", "ssm:AddTagsToResource"}, arn)}},
		map[string]*string{"SPILLWAY_STACK": jsii.String(d.settings.Stack)})
	made := awscdk.NewCfnCustomResource(d.scope, jsii.String("Secrets"), &awscdk.CfnCustomResourceProps{
		ServiceToken: d.functions[secretsMaker].arn, ServiceTimeout: jsii.Number(60)})
	made.AddPropertyOverride(jsii.String("Stack"), d.settings.Stack)
	made.AddPropertyOverride(jsii.String("Keep"), map[bool]string{true: "true", false: "false"}[d.settings.DeletionPolicy == settings.Keep])
	made.AddPropertyOverride(jsii.String("Tags"), d.tags())
	d.parameter = made
}
