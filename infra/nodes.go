package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/jsii-runtime-go"

	"github.com/spillway-sfu/spillway/shared/cloud"
)

// image is Amazon's minimal image of Amazon Linux 2023 for arm64, as of the
// deployment: it changes when somebody deploys, not from one node to the next.
// It has no SSM agent and no way in.
const image = "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-arm64"

// template is the launch template of nodes.
type template struct {
	id, version *string
	role        *string // arn
	group       *string // id
}

// addNodes makes everything that an instance is launched with and into: public
// subnets alone, because a node's media goes to the internet, and a NAT gateway
// would bill every hour and every byte.
func (d *stack) addNodes() {
	vpc := d.addNetwork()
	group := awsec2.NewCfnSecurityGroup(d.scope, jsii.String("Media"), &awsec2.CfnSecurityGroupProps{
		GroupDescription: jsii.String("Media of participants, and pipes between nodes"), VpcId: vpc.AttrVpcId(), Tags: d.tagList(),
		SecurityGroupIngress: d.mediaIn(), SecurityGroupEgress: d.mediaOut()})
	for _, protocol := range []string{"udp", "tcp"} {
		awsec2.NewCfnSecurityGroupIngress(d.scope, jsii.String("Pipes"+title(protocol)), &awsec2.CfnSecurityGroupIngressProps{
			GroupId: group.AttrGroupId(), SourceSecurityGroupId: group.AttrGroupId(), IpProtocol: &protocol,
			FromPort: jsii.Number(1024), ToPort: jsii.Number(65535), Description: jsii.String("Pipes between nodes: what they carry over UDP, what they say over TCP")})
	}
	d.asset = awss3assets.NewAsset(d.scope, jsii.String("NodeProgram"), &awss3assets.AssetProps{Path: &d.packages.Node})
	role := d.role("Instance", "ec2.amazonaws.com", nil,
		allow([]string{"s3:GetObject"}, jsii.String(fmt.Sprintf("arn:%s:s3:::%s/%s", *d.scope.Partition(), *d.asset.S3BucketName(), *d.asset.S3ObjectKey()))))
	profile := awsiam.NewCfnInstanceProfile(d.scope, jsii.String("InstanceProfile"), &awsiam.CfnInstanceProfileProps{Roles: &[]any{role.Ref()}})
	ami := awscdk.NewCfnParameter(d.scope, jsii.String("Image"), &awscdk.CfnParameterProps{
		Type: jsii.String("AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"), Default: jsii.String(image), Description: jsii.String("Where AWS publishes the nodes' image")})
	var tagged []any
	for _, kind := range []string{"instance", "volume"} {
		tagged = append(tagged, &awsec2.CfnLaunchTemplate_TagSpecificationProperty{ResourceType: jsii.String(kind), Tags: d.tagList()})
	}
	lt := awsec2.NewCfnLaunchTemplate(d.scope, jsii.String("Nodes"), &awsec2.CfnLaunchTemplateProps{
		LaunchTemplateName: d.name(),
		LaunchTemplateData: &awsec2.CfnLaunchTemplate_LaunchTemplateDataProperty{
			ImageId: ami.ValueAsString(), SecurityGroupIds: &[]*string{group.AttrGroupId()},
			IamInstanceProfile: &awsec2.CfnLaunchTemplate_IamInstanceProfileProperty{Arn: profile.AttrArn()},
			MetadataOptions: &awsec2.CfnLaunchTemplate_MetadataOptionsProperty{HttpTokens: jsii.String("required"),
				HttpPutResponseHopLimit: jsii.Number(1), HttpEndpoint: jsii.String("enabled"), InstanceMetadataTags: jsii.String("disabled")},
			BlockDeviceMappings: []any{&awsec2.CfnLaunchTemplate_BlockDeviceMappingProperty{DeviceName: jsii.String("/dev/xvda"),
				Ebs: &awsec2.CfnLaunchTemplate_EbsProperty{VolumeSize: jsii.Number(4), VolumeType: jsii.String("gp3"), Encrypted: true, DeleteOnTermination: true}}},
			InstanceInitiatedShutdownBehavior: jsii.String("terminate"), TagSpecifications: tagged,
		}})
	d.template = &template{lt.Ref(), lt.AttrLatestVersionNumber(), role.AttrArn(), group.AttrGroupId()}
}

// launchEnvironment tells the fleet function how to launch.
func (d *stack) launchEnvironment(env map[string]*string) {
	var zones []string
	for _, s := range d.subnets {
		zones = append(zones, *s.AttrAvailabilityZone()+"="+*s.AttrSubnetId())
	}
	env["SPILLWAY_LAUNCH_TEMPLATE"], env["SPILLWAY_LAUNCH_TEMPLATE_VERSION"] = d.name(), d.template.version
	env["SPILLWAY_ZONES"] = jsii.String(strings.Join(zones, ","))
	env["SPILLWAY_NODE_PROGRAM"] = jsii.String(fmt.Sprintf("https://%s.s3.%s.%s/%s", *d.asset.S3BucketName(), *d.scope.Region(), *d.scope.UrlSuffix(), *d.asset.S3ObjectKey()))
	env["SPILLWAY_NODE_SHA256"] = jsii.String(d.node.sha256)
	env["SPILLWAY_SPOT_PERCENT"] = jsii.String(fmt.Sprint(d.settings.SpotPercent))
	env["SPILLWAY_MEDIA_PORT"] = jsii.String(fmt.Sprint(d.settings.MediaPort))
	if len(d.settings.Tags) > 0 {
		tags, err := json.Marshal(d.settings.Tags)
		if err != nil {
			panic(err) // strings that are no JSON
		}
		env["SPILLWAY_TAGS"] = jsii.String(string(tags))
	}
}

// mayLaunch is what EC2 asks permission for when the fleet function launches,
// lists and terminates: with our template only, into our subnets, with our tag;
// and only what has our tag is terminated.
func (d *stack) mayLaunch() []statement {
	ec2 := func(kind string) *string { return d.arn("ec2", "%s", kind) }
	ours := map[string]any{"StringEquals": map[string]any{"aws:RequestTag/" + cloud.TagStack: d.settings.Stack}}
	with := map[string]any{"ArnEquals": map[string]any{"ec2:LaunchTemplate": d.arn("ec2", "launch-template/%s", *d.template.id)}}
	region := fmt.Sprintf("arn:%s:ec2:%s", *d.scope.Partition(), *d.scope.Region())
	used := []*string{jsii.String(region + "::image/*"), d.arn("ec2", "launch-template/%s", *d.template.id),
		d.arn("ec2", "security-group/%s", *d.template.group), ec2("network-interface/*")}
	for _, s := range d.subnets {
		used = append(used, d.arn("ec2", "subnet/%s", *s.AttrSubnetId()))
	}
	out := []statement{
		allowIf(ours, []string{"ec2:RunInstances"}, ec2("instance/*"), ec2("volume/*")),
		allowIf(with, []string{"ec2:RunInstances"}, used...),
		allowIf(map[string]any{"StringEquals": map[string]any{"ec2:CreateAction": "RunInstances"}}, []string{"ec2:CreateTags"}, ec2("instance/*"), ec2("volume/*")),
		allowIf(map[string]any{"StringEquals": map[string]any{"aws:ResourceTag/" + cloud.TagStack: d.settings.Stack}}, []string{"ec2:TerminateInstances"}, ec2("instance/*")),
		allow([]string{"ec2:DescribeInstances"}, jsii.String("*")),
		allowIf(map[string]any{"StringEquals": map[string]any{"iam:PassedToService": "ec2.amazonaws.com"}}, []string{"iam:PassRole"}, d.template.role),
	}
	if d.settings.SpotPercent > 0 { // EC2 makes this role at the account's first spot request
		out = append(out, allowIf(map[string]any{"StringEquals": map[string]any{"iam:AWSServiceName": "spot.amazonaws.com"}}, []string{"iam:CreateServiceLinkedRole"},
			jsii.String(fmt.Sprintf("arn:%s:iam::%s:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot", *d.scope.Partition(), *d.scope.Account()))))
	}
	return out
}
