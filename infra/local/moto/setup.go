package moto

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"golang.org/x/sync/errgroup"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

// Names of what a stack is made of, from the stack's own.

// Table names the DynamoDB table.
func Table(stack string) string { return "spillway-" + stack }

// EventBus names the event bus.
func EventBus(stack string) string { return "spillway-" + stack }

// LaunchTemplate names the launch template of nodes.
func LaunchTemplate(stack string) string { return "spillway-" + stack }

// Secrets are what a stack keeps in SSM.
type Secrets struct {
	JoinKeys map[string]string // key id → secret
	APIKeys  []string
	Root     []byte // 32 bytes
}

// SetUp makes what the deployed stack has beside its functions and gateway:
// table, secrets, event bus and launch template. It returns the URL of a queue
// to which the bus delivers what the fleet function is to be woken by.
//
// None of them needs another, and the first request to each service takes moto
// long: they are made side by side.
func SetUp(ctx context.Context, cfg aws.Config, stack string, s Secrets) (queue string, err error) {
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return createTemplate(ctx, cfg, stack) })
	all.Go(func() error { return putSecrets(ctx, cfg, stack, s) })
	all.Go(func() error {
		if _, err := dynamodb.NewFromConfig(cfg).CreateTable(ctx, cloud.CreateTableInput(Table(stack))); err != nil {
			return fmt.Errorf("create table: %w", err)
		}
		return nil
	})
	all.Go(func() (err error) {
		queue, err = createBus(ctx, cfg, stack)
		return err
	})
	err = all.Wait()
	return queue, err
}

func putSecrets(ctx context.Context, cfg aws.Config, stack string, s Secrets) error {
	joinKeys, err := json.Marshal(s.JoinKeys)
	if err != nil {
		return err
	}
	apiKeys, err := json.Marshal(s.APIKeys)
	if err != nil {
		return err
	}
	client := ssm.NewFromConfig(cfg)
	for name, value := range map[string]string{
		cloud.JoinKeysParameter(stack): string(joinKeys),
		cloud.APIKeysParameter(stack):  string(apiKeys),
		cloud.RootParameter(stack):     base64.StdEncoding.EncodeToString(s.Root),
	} {
		if _, err := client.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString}); err != nil {
			return fmt.Errorf("put parameter %s: %w", name, err)
		}
	}
	return nil
}

// createTemplate names a machine image that does not exist: nothing of it is
// used, and moto does not ask.
func createTemplate(ctx context.Context, cfg aws.Config, stack string) error {
	_, err := ec2.NewFromConfig(cfg).CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String(LaunchTemplate(stack)),
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{ImageId: aws.String("ami-00000000000000000")},
	})
	if err != nil {
		return fmt.Errorf("create launch template: %w", err)
	}
	return nil
}

// AddTemplateVersion adds a version to the launch template, as deploying another
// build does, and returns its number.
func AddTemplateVersion(ctx context.Context, cfg aws.Config, stack, build string) (string, error) {
	out, err := ec2.NewFromConfig(cfg).CreateLaunchTemplateVersion(ctx, &ec2.CreateLaunchTemplateVersionInput{
		LaunchTemplateName: aws.String(LaunchTemplate(stack)), VersionDescription: &build,
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{ImageId: aws.String("ami-00000000000000000")},
	})
	if err != nil {
		return "", fmt.Errorf("add version of launch template: %w", err)
	}
	return fmt.Sprint(aws.ToInt64(out.LaunchTemplateVersion.VersionNumber)), nil
}

// createBus makes the bus with a rule as the deployed stack has it. The rule's
// target is a queue, because moto delivers to queues and not to functions.
func createBus(ctx context.Context, cfg aws.Config, stack string) (string, error) {
	queues, bus := sqs.NewFromConfig(cfg), eventbridge.NewFromConfig(cfg)
	q, err := queues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("spillway-" + stack)})
	if err != nil {
		return "", fmt.Errorf("create queue: %w", err)
	}
	attrs, err := queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: q.QueueUrl,
		AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn}})
	if err != nil {
		return "", fmt.Errorf("describe queue: %w", err)
	}
	arn := attrs.Attributes[string(sqstypes.QueueAttributeNameQueueArn)]
	name := aws.String(EventBus(stack))
	if _, err := bus.CreateEventBus(ctx, &eventbridge.CreateEventBusInput{Name: name}); err != nil {
		return "", fmt.Errorf("create event bus: %w", err)
	}
	rule := aws.String("capacity")
	pattern := fmt.Sprintf(`{"source":[%q],"detail-type":[%q]}`, events.BusSource, events.DetailCapacity)
	if _, err := bus.PutRule(ctx, &eventbridge.PutRuleInput{Name: rule, EventBusName: name, EventPattern: &pattern}); err != nil {
		return "", fmt.Errorf("put rule: %w", err)
	}
	_, err = bus.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: rule, EventBusName: name,
		Targets: []ebtypes.Target{{Id: aws.String("fleet"), Arn: &arn}}})
	if err != nil {
		return "", fmt.Errorf("put target: %w", err)
	}
	return aws.ToString(q.QueueUrl), nil
}

// Deliver passes everything that arrives in the queue to wake, in the shape of
// an EventBridge event, until ctx ends. As the bus would do it calls several at a
// time, and delivers again after a second what wake fails on.
func Deliver(ctx context.Context, cfg aws.Config, queue string, wake func(ctx context.Context, event []byte) error) error {
	client := sqs.NewFromConfig(cfg)
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		r, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10, WaitTimeSeconds: 1, VisibilityTimeout: 60})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive events: %w", err)
		}
		for _, m := range r.Messages {
			calls.Go(func() {
				if wake(ctx, []byte(aws.ToString(m.Body))) != nil {
					// Should this fail too, the message comes back after a minute.
					_, _ = client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 1})
					return
				}
				_, _ = client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle})
			})
		}
	}
}
