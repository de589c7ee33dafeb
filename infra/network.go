package main

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"

	"github.com/spillway-sfu/spillway/shared/cloud"
)

// Everywhere, in both families.
const (
	everywhere  = "0.0.0.0/0"
	everywhere6 = "::/0"
)

// families are the address families of the network, each by its everywhere.
func (d *stack) families() []string {
	if d.settings.IPv6 {
		return []string{everywhere, everywhere6}
	}
	return []string{everywhere}
}

// mediaIn is what people may reach nodes by.
func (d *stack) mediaIn() (in []any) {
	for _, from := range d.families() {
		for _, p := range []struct {
			protocol string
			port     int
			why      string
		}{{"udp", d.settings.MediaPort, "Media over UDP"}, {"tcp", cloud.TCPPort, "Media over TCP, for networks without UDP"}} {
			i := &awsec2.CfnSecurityGroup_IngressProperty{IpProtocol: &p.protocol, FromPort: jsii.Number(p.port), ToPort: jsii.Number(p.port), Description: &p.why}
			if from == everywhere6 {
				i.CidrIpv6 = &from
			} else {
				i.CidrIp = &from
			}
			in = append(in, i)
		}
	}
	return in
}

// mediaOut is where nodes may send to.
func (d *stack) mediaOut() (out []any) {
	for _, to := range d.families() {
		o := &awsec2.CfnSecurityGroup_EgressProperty{IpProtocol: jsii.String("-1"), Description: jsii.String("Participants are anywhere, at any port")}
		if to == everywhere6 {
			o.CidrIpv6 = &to
		} else {
			o.CidrIp = &to
		}
		out = append(out, o)
	}
	return out
}

// addNetwork makes a VPC with a public subnet in each zone.
func (d *stack) addNetwork() awsec2.CfnVPC {
	vpc := awsec2.NewCfnVPC(d.scope, jsii.String("Vpc"), &awsec2.CfnVPCProps{CidrBlock: jsii.String("10.70.0.0/16"),
		EnableDnsSupport: true, EnableDnsHostnames: true, Tags: d.tagList()})
	gateway := awsec2.NewCfnInternetGateway(d.scope, jsii.String("Gateway"), &awsec2.CfnInternetGatewayProps{Tags: d.tagList()})
	attached := awsec2.NewCfnVPCGatewayAttachment(d.scope, jsii.String("GatewayAttachment"), &awsec2.CfnVPCGatewayAttachmentProps{
		VpcId: vpc.AttrVpcId(), InternetGatewayId: gateway.AttrInternetGatewayId()})
	routes := awsec2.NewCfnRouteTable(d.scope, jsii.String("Routes"), &awsec2.CfnRouteTableProps{VpcId: vpc.AttrVpcId(), Tags: d.tagList()})
	out := awsec2.NewCfnRoute(d.scope, jsii.String("Internet"), &awsec2.CfnRouteProps{
		RouteTableId: routes.AttrRouteTableId(), DestinationCidrBlock: jsii.String(everywhere), GatewayId: gateway.AttrInternetGatewayId()})
	out.AddResourceDependency(attached, nil)
	var six awsec2.CfnVPCCidrBlock
	if d.settings.IPv6 {
		six = awsec2.NewCfnVPCCidrBlock(d.scope, jsii.String("IPv6"), &awsec2.CfnVPCCidrBlockProps{VpcId: vpc.AttrVpcId(), AmazonProvidedIpv6CidrBlock: true})
		out := awsec2.NewCfnRoute(d.scope, jsii.String("InternetIPv6"), &awsec2.CfnRouteProps{
			RouteTableId: routes.AttrRouteTableId(), DestinationIpv6CidrBlock: jsii.String(everywhere6), GatewayId: gateway.AttrInternetGatewayId()})
		out.AddResourceDependency(attached, nil)
		out.AddResourceDependency(six, nil)
	}
	for i := range d.settings.Zones {
		props := &awsec2.CfnSubnetProps{VpcId: vpc.AttrVpcId(),
			CidrBlock: jsii.String(fmt.Sprintf("10.70.%d.0/20", 16*i)), MapPublicIpOnLaunch: true, Tags: d.tagList(),
			AvailabilityZone: awscdk.Fn_Select(jsii.Number(i), awscdk.Fn_GetAzs(nil))}
		if six != nil {
			blocks := awscdk.Fn_Cidr(awscdk.Fn_Select(jsii.Number(0), vpc.AttrIpv6CidrBlocks()), jsii.Number(d.settings.Zones), jsii.String("64"))
			props.Ipv6CidrBlock, props.AssignIpv6AddressOnCreation = awscdk.Fn_Select(jsii.Number(i), blocks), true
		}
		subnet := awsec2.NewCfnSubnet(d.scope, jsii.String(fmt.Sprintf("Subnet%d", i)), props)
		if six != nil {
			subnet.AddResourceDependency(six, nil)
		}
		awsec2.NewCfnSubnetRouteTableAssociation(d.scope, jsii.String(fmt.Sprintf("Subnet%dRoutes", i)), &awsec2.CfnSubnetRouteTableAssociationProps{
			SubnetId: subnet.AttrSubnetId(), RouteTableId: routes.AttrRouteTableId()})
		d.subnets = append(d.subnets, subnet)
	}
	return vpc
}
