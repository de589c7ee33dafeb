package cloud

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// Tags of a deployment's instances and volumes.
const (
	TagStack = "spillway:stack"
	TagNode  = "spillway:node"
)

// NodeTokens mints the token of a node. The same arguments give the same token,
// so that a launch can be repeated with the very request it was made with.
type NodeTokens interface {
	MintNode(node string, issued time.Time, life time.Duration) (string, error)
}

// NodeTokenLasts bounds a node's life. It is longer than any node should live,
// because a node that cannot come back has lost its people.
const NodeTokenLasts = 30 * 24 * time.Hour

// Fleet starts and ends EC2 instances through a launch template. It is safe for
// concurrent use.
type Fleet struct {
	api      *ec2.Client
	stack    string
	template string
	socket   string
	tokens   NodeTokens
	log      *slog.Logger
	subnets  map[string]string
	node     NodeProgram
	version  string
	spot     int
	tags     map[string]string
}

var _ step.Instances = (*Fleet)(nil)

// FleetConfig says how instances are launched.
type FleetConfig struct {
	Stack string
	// Template is the launch template's name.
	Template string
	// SocketURL is what nodes dial.
	SocketURL string
	// Subnets are those to launch in, by zone. In a zone without one it is the
	// default VPC's.
	Subnets map[string]string
	// Program is what an instance fetches and runs; the zero one leaves that to
	// the machine image.
	Program NodeProgram
	// Version is the launch template's; empty means its default one.
	Version string
	// SpotPercent is the share of launches that ask for a spot instance first.
	SpotPercent int
	// Tags are further tags of instances and volumes.
	Tags   map[string]string
	Tokens NodeTokens
	Log    *slog.Logger
}

// NewFleet returns the instances of a stack.
func NewFleet(cfg aws.Config, c FleetConfig) *Fleet {
	return &Fleet{ec2.NewFromConfig(cfg), c.Stack, c.Template, c.SocketURL, c.Tokens, c.Log, c.Subnets,
		c.Program, cmp.Or(c.Version, "$Default"), c.SpotPercent, c.Tags}
}

// Launch implements [step.Instances]. Everything in the request follows from
// the launch, so asking twice is asking once: id and attempt are the client
// token.
func (f *Fleet) Launch(ctx context.Context, l fleet.Launch) control.LaunchOutcome {
	token, err := f.tokens.MintNode(string(l.ID), l.At, NodeTokenLasts)
	if err != nil {
		f.log.Error("mint node token", "node", l.ID, "error", err)
		return control.LaunchOutcome{}
	}
	data, err := Boot{SocketURL: f.socket, Node: l.ID, Token: token, Program: f.node}.UserData()
	if err != nil {
		f.log.Error("render user data", "node", l.ID, "error", err)
		return control.LaunchOutcome{}
	}
	tags := f.tagsOf(l)
	in := &ec2.RunInstancesInput{
		LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: &f.template, Version: &f.version},
		InstanceType:   types.InstanceType(l.Type), MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		ClientToken:                       aws.String(fmt.Sprintf("%s-%d", l.ID, l.Attempt)),
		UserData:                          aws.String(base64.StdEncoding.EncodeToString([]byte(data))),
		InstanceInitiatedShutdownBehavior: types.ShutdownBehaviorTerminate,
		TagSpecifications: []types.TagSpecification{
			{ResourceType: types.ResourceTypeInstance, Tags: tags}, {ResourceType: types.ResourceTypeVolume, Tags: tags}},
	}
	if f.asksSpot(l) {
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot,
			SpotOptions: &types.SpotMarketOptions{SpotInstanceType: types.SpotInstanceTypeOneTime, InstanceInterruptionBehavior: types.InstanceInterruptionBehaviorTerminate}}
	}
	if subnet := f.subnets[l.Zone]; subnet != "" {
		in.SubnetId = &subnet // which says the zone too
	} else if l.Zone != "" {
		in.Placement = &types.Placement{AvailabilityZone: &l.Zone}
	}
	out, err := f.api.RunInstances(ctx, in)
	if err != nil {
		class, code := refused(err)
		f.log.Error("run instance", "node", l.ID, "attempt", l.Attempt, "type", l.Type, "zone", l.Zone, "refused", string(class), "error", err)
		return control.LaunchOutcome{Refusal: class, Code: code}
	}
	if len(out.Instances) == 0 {
		return control.LaunchOutcome{}
	}
	f.log.Info("instance launched", "node", l.ID, "instance", aws.ToString(out.Instances[0].InstanceId), "type", l.Type, "why", l.Why)
	return control.LaunchOutcome{Instance: aws.ToString(out.Instances[0].InstanceId)}
}

// tagsOf returns the tags of a launch's instance and volume, in an order that
// does not change: the request must not.
func (f *Fleet) tagsOf(l fleet.Launch) []types.Tag {
	var tags []types.Tag
	for _, name := range slices.Sorted(maps.Keys(f.tags)) {
		tags = append(tags, types.Tag{Key: aws.String(name), Value: aws.String(f.tags[name])})
	}
	return append(tags,
		types.Tag{Key: aws.String("Name"), Value: aws.String("spillway-" + f.stack + "-" + string(l.ID))},
		types.Tag{Key: aws.String(TagStack), Value: aws.String(f.stack)},
		types.Tag{Key: aws.String(TagNode), Value: aws.String(string(l.ID))})
}

// asksSpot reports whether a launch asks for a spot instance: its first attempt,
// for the share of launches that the id's hash falls into. What was refused once
// is asked for on demand.
func (f *Fleet) asksSpot(l fleet.Launch) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(l.ID)) // a hash cannot fail
	return l.Attempt <= 1 && int(h.Sum32()%100) < f.spot
}

// Terminate implements [step.Instances]. A node's instances are found by their
// tag, because a launch whose answer was lost has none noted.
func (f *Fleet) Terminate(ctx context.Context, t control.Termination) error {
	ids := map[string]bool{}
	if t.Instance != "" {
		ids[t.Instance] = true
	}
	if t.Node != "" {
		found, err := f.describe(ctx, types.Filter{Name: aws.String("tag:" + TagNode), Values: []string{string(t.Node)}})
		if err != nil {
			return err
		}
		for _, i := range found {
			if !i.Gone {
				ids[i.ID] = true
			}
		}
	}
	for id := range ids {
		_, err := f.api.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
		if err != nil && codeOf(err) != "InvalidInstanceID.NotFound" {
			return fmt.Errorf("terminate %s: %w", id, err)
		}
		f.log.Info("instance terminated", "node", t.Node, "instance", id, "why", t.Why)
	}
	return nil
}

// List implements [step.Instances]. EC2 itself forgets ended instances after
// about an hour.
func (f *Fleet) List(ctx context.Context) ([]control.Instance, error) { return f.describe(ctx) }

func (f *Fleet) describe(ctx context.Context, filters ...types.Filter) ([]control.Instance, error) {
	filters = append(filters, types.Filter{Name: aws.String("tag:" + TagStack), Values: []string{f.stack}})
	var out []control.Instance
	pages := ec2.NewDescribeInstancesPaginator(f.api, &ec2.DescribeInstancesInput{Filters: filters})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe instances: %w", err)
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				out = append(out, instance(i))
			}
		}
	}
	return out, nil
}

func instance(i types.Instance) control.Instance {
	out := control.Instance{ID: aws.ToString(i.InstanceId), LaunchedAt: aws.ToTime(i.LaunchTime)}
	if i.State != nil {
		switch i.State.Name {
		case types.InstanceStateNameShuttingDown, types.InstanceStateNameTerminated:
			out.Gone = true
		}
	}
	for _, t := range i.Tags {
		if aws.ToString(t.Key) == TagNode {
			out.Node = room.NodeID(aws.ToString(t.Value))
		}
	}
	return out
}
