package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/jsii-runtime-go"
)

// addDomain gives both APIs names of the customer's own. One name cannot lead to
// a WebSocket and an HTTP API, so the latter's has api. before it.
func (d *stack) addDomain() {
	if d.settings.Domain.Name == "" {
		return
	}
	tags := map[string]*string{}
	for name, value := range d.tags() {
		tags[name] = jsii.String(value)
	}
	for _, api := range []struct{ id, name, stage string }{
		{"Socket", d.settings.Domain.Name, stage},
		{"Http", "api." + d.settings.Domain.Name, "$default"},
	} {
		name := awsapigatewayv2.NewCfnDomainName(d.scope, jsii.String(api.id+"Name"), &awsapigatewayv2.CfnDomainNameProps{
			DomainName: jsii.String(api.name), Tags: &tags,
			DomainNameConfigurations: []*awsapigatewayv2.CfnDomainName_DomainNameConfigurationProperty{{
				CertificateArn: jsii.String(d.settings.Domain.CertificateARN), EndpointType: jsii.String("REGIONAL"), SecurityPolicy: jsii.String("TLS_1_2")}}})
		id := d.socketAPI
		if api.id == "Http" {
			id = d.httpAPI
		}
		mapping := awsapigatewayv2.NewCfnApiMapping(d.scope, jsii.String(api.id+"Mapping"), &awsapigatewayv2.CfnApiMappingProps{
			ApiId: id, DomainName: name.Ref(), Stage: jsii.String(api.stage)})
		mapping.Node().AddDependency(d.scope.Node().FindChild(jsii.String(api.id + "Stage")))
		d.output(api.id+"Target", "Where "+api.name+" must lead", name.AttrRegionalDomainName())
		if d.settings.Domain.HostedZoneID != "" {
			awsroute53.NewCfnRecordSet(d.scope, jsii.String(api.id+"Record"), &awsroute53.CfnRecordSetProps{
				Name: jsii.String(api.name), Type: jsii.String("A"), HostedZoneId: jsii.String(d.settings.Domain.HostedZoneID),
				AliasTarget: &awsroute53.CfnRecordSet_AliasTargetProperty{DnsName: name.AttrRegionalDomainName(), HostedZoneId: name.AttrRegionalHostedZoneId()}})
		}
	}
}
