package cloud_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spillway-sfu/spillway/infra/local/moto"
	"github.com/spillway-sfu/spillway/shared/cloud"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/token"
)

// network makes a launch template of two versions and a subnet in each of two
// zones: zone → subnet.
func network(t *testing.T, api *ec2.Client) map[string]string {
	t.Helper()
	vpc, err := api.CreateVpc(t.Context(), &ec2.CreateVpcInput{CidrBlock: aws.String("10.70.0.0/16")})
	if err != nil {
		t.Fatal(err)
	}
	subnets := map[string]string{}
	for i, zone := range []string{"us-east-1a", "us-east-1b"} {
		s, err := api.CreateSubnet(t.Context(), &ec2.CreateSubnetInput{VpcId: vpc.Vpc.VpcId, AvailabilityZone: aws.String(zone), CidrBlock: aws.String(fmt.Sprintf("10.70.%d.0/20", 16*i))})
		if err != nil {
			t.Fatal(err)
		}
		subnets[zone] = *s.Subnet.SubnetId
	}
	data := func(image string) *types.RequestLaunchTemplateData {
		return &types.RequestLaunchTemplateData{ImageId: &image}
	}
	name := aws.String("spillway-a")
	if _, err := api.CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: name, LaunchTemplateData: data("ami-00000000000000001")}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.CreateLaunchTemplateVersion(t.Context(), &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateName: name, LaunchTemplateData: data("ami-00000000000000002")}); err != nil {
		t.Fatal(err)
	}
	return subnets
}

// TestInstancesOnMoto launches, lists and terminates through EC2's API.
func TestInstancesOnMoto(t *testing.T) {
	server, err := moto.Start(t.Context(), moto.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	cfg := motoConfig(server.URL)
	api := ec2.NewFromConfig(cfg)
	c := cloud.FleetConfig{Stack: "a", Template: "spillway-a", Version: "2", SocketURL: "wss://a/ws", Subnets: network(t, api),
		Tokens: token.Root(make([]byte, token.RootSize)), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Tags: map[string]string{"cost-centre": "7"}}
	instances := cloud.NewFleet(cfg, c)
	spot := c
	spot.SpotPercent = 100
	other := c
	other.Stack = "b"
	launch := func(f *cloud.Fleet, id room.NodeID, zone string) string {
		t.Helper()
		o := f.Launch(t.Context(), fleet.Launch{ID: id, Type: "c7g.large", Zone: zone, Attempt: 1, At: time.Now()})
		if o.Instance == "" {
			t.Fatalf("launch %s: %+v", id, o)
		}
		return o.Instance
	}
	describe := func(instance string) types.Instance {
		t.Helper()
		out, err := api.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{instance}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Reservations[0].Instances[0]
	}

	a := launch(instances, "n-a", "us-east-1a")
	b := describe(launch(cloud.NewFleet(cfg, spot), "n-b", "us-east-1b"))
	foreign := launch(cloud.NewFleet(cfg, other), "n-foreign", "us-east-1a")
	i := describe(a)
	if aws.ToString(i.SubnetId) != c.Subnets["us-east-1a"] || aws.ToString(b.SubnetId) != c.Subnets["us-east-1b"] {
		t.Errorf("subnets %s and %s", aws.ToString(i.SubnetId), aws.ToString(b.SubnetId))
	}
	if aws.ToString(i.ImageId) != "ami-00000000000000002" || i.InstanceType != "c7g.large" {
		t.Errorf("image %s, type %s: not the template's version", aws.ToString(i.ImageId), i.InstanceType)
	}
	if i.InstanceLifecycle != "" || b.InstanceLifecycle != types.InstanceLifecycleTypeSpot {
		t.Errorf("lifecycles %q and %q", i.InstanceLifecycle, b.InstanceLifecycle)
	}
	tags := map[string]string{}
	for _, tag := range i.Tags {
		tags[*tag.Key] = *tag.Value
	}
	for name, value := range map[string]string{"Name": "spillway-a-n-a", cloud.TagStack: "a", cloud.TagNode: "n-a", "cost-centre": "7"} {
		if tags[name] != value {
			t.Errorf("tag %s is %q, want %q", name, tags[name], value)
		}
	}
	attribute, err := api.DescribeInstanceAttribute(t.Context(), &ec2.DescribeInstanceAttributeInput{InstanceId: &a, Attribute: types.InstanceAttributeNameUserData})
	if err != nil {
		t.Fatal(err)
	}
	if data, err := base64.StdEncoding.DecodeString(aws.ToString(attribute.UserData.Value)); err != nil || !strings.Contains(string(data), "SPILLWAY_NODE=n-a\n") {
		t.Errorf("user data %q, %v", data, err)
	}

	list, err := instances.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%d instances, want those of this stack alone: %v", len(list), err)
	}
	for range 2 { // twice is once
		if err := instances.Terminate(t.Context(), control.Termination{Node: "n-a"}); err != nil {
			t.Fatal(err)
		}
	}
	if s := describe(a).State.Name; s != types.InstanceStateNameTerminated && s != types.InstanceStateNameShuttingDown {
		t.Errorf("the terminated instance is %s", s)
	}
	if s := describe(foreign).State.Name; s != types.InstanceStateNameRunning && s != types.InstanceStateNamePending {
		t.Errorf("another stack's instance is %s", s)
	}
	c.Template = "none"
	if o := cloud.NewFleet(cfg, c).Launch(t.Context(), fleet.Launch{ID: "n-c", Type: "c7g.large", Attempt: 1}); o.Instance != "" || o.Code == "" {
		t.Errorf("without a template: %+v, want a definite refusal", o)
	}
}
