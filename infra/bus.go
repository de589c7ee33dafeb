package main

import (
	"encoding/json"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"github.com/spillway-sfu/spillway/events"
)

// queue is where what nobody could handle waits for an operator.
type queue struct{ url, arn, name *string }

// addBus makes the event bus and the queue of dead letters.
func (d *stack) addBus() {
	bus := awsevents.NewCfnEventBus(d.scope, jsii.String("Bus"), &awsevents.CfnEventBusProps{Name: d.name(), Tags: d.tagList()})
	d.busName, d.busArn = bus.Ref(), bus.AttrArn()
	q := awssqs.NewCfnQueue(d.scope, jsii.String("DeadLetters"), &awssqs.CfnQueueProps{
		MessageRetentionPeriod: jsii.Number(14 * 24 * 3600), SqsManagedSseEnabled: true})
	d.dead = queue{q.Ref(), q.AttrArn(), q.AttrQueueName()}
	awssqs.NewCfnQueuePolicy(d.scope, jsii.String("DeadLettersPolicy"), &awssqs.CfnQueuePolicyProps{
		Queues: &[]*string{q.Ref()},
		PolicyDocument: document(
			map[string]any{"Sid": "OnlyTLS", "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": q.AttrArn(),
				"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}}},
			map[string]any{"Sid": "Rules", "Effect": "Allow", "Principal": map[string]any{"Service": "events.amazonaws.com"},
				"Action": "sqs:SendMessage", "Resource": q.AttrArn(),
				"Condition": map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": d.scope.Account()}}})})
}

// rules wake the fleet function. What EC2 says of instances is on the account's
// own bus, says nothing of their tags, and so is of other people's instances
// too: the function looks at ours alone.
var rules = []struct {
	id      string
	own     bool // on the deployment's bus
	pattern map[string]any
}{
	{"Capacity", true, map[string]any{"source": []string{events.BusSource}, "detail-type": []string{events.DetailCapacity}}},
	{"InstanceEnded", false, map[string]any{"source": []string{events.BusSourceEC2}, "detail-type": []string{events.DetailEC2State},
		"detail": map[string]any{"state": []string{"stopping", "stopped", "shutting-down", "terminated"}}}},
	{"InstanceLeaving", false, map[string]any{"source": []string{events.BusSourceEC2},
		"detail-type": []string{events.DetailSpotNotice, events.DetailRebalance}}},
	{"Maintenance", false, map[string]any{"source": []string{events.BusSourceHealth}, "detail-type": []string{"AWS Health Event"},
		"detail": map[string]any{"service": []string{"EC2"}, "eventTypeCategory": []string{"scheduledChange"}}}},
}

// addRules lets the bus, and EC2 through the account's own bus, wake the fleet
// function.
func (d *stack) addRules() {
	fleet := d.functions["fleet"]
	for _, r := range rules {
		props := &awsevents.CfnRuleProps{EventPattern: r.pattern, State: jsii.String("ENABLED"),
			Targets: []*awsevents.CfnRule_TargetProperty{{Id: jsii.String("fleet"), Arn: fleet.arn,
				DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: d.dead.arn},
				RetryPolicy:      &awsevents.CfnRule_RetryPolicyProperty{MaximumEventAgeInSeconds: jsii.Number(300), MaximumRetryAttempts: jsii.Number(5)}}}}
		if r.own {
			props.EventBusName = d.busName
		}
		rule := awsevents.NewCfnRule(d.scope, jsii.String("Rule"+r.id), props)
		d.allowInvoke("Rule"+r.id, fleet, "events.amazonaws.com", rule.AttrArn())
	}
	// A failed sweep or pass is tried again once, soon: what it was to see is old
	// after that, and the timer asks again anyway.
	awslambda.NewCfnEventInvokeConfig(d.scope, jsii.String("FleetInvocations"), &awslambda.CfnEventInvokeConfigProps{
		FunctionName: fleet.name, Qualifier: jsii.String("$LATEST"), MaximumRetryAttempts: jsii.Number(1), MaximumEventAgeInSeconds: jsii.Number(120),
		DestinationConfig: map[string]any{"onFailure": map[string]any{"destination": d.dead.arn}}})
}

// addTimer has the fleet swept every minute. One that could not be delivered is
// not repeated: the next minute asks the same question.
func (d *stack) addTimer() {
	fleet := d.functions["fleet"]
	sweep, err := json.Marshal(events.Sweep{Header: events.Head(events.ActionSweep)})
	if err != nil {
		panic(err) // a message that cannot be written
	}
	role := d.role("Timer", "scheduler.amazonaws.com", map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": d.scope.Account()}},
		allow([]string{"lambda:InvokeFunction"}, fleet.arn), allow([]string{"sqs:SendMessage"}, d.dead.arn))
	awsscheduler.NewCfnSchedule(d.scope, jsii.String("Sweep"), &awsscheduler.CfnScheduleProps{
		Description: jsii.String("Is there anything to put right?"), ScheduleExpression: jsii.String("rate(1 minute)"),
		FlexibleTimeWindow: &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{Arn: fleet.arn, RoleArn: role.AttrArn(), Input: jsii.String(string(sweep)),
			DeadLetterConfig: &awsscheduler.CfnSchedule_DeadLetterConfigProperty{Arn: d.dead.arn},
			RetryPolicy:      &awsscheduler.CfnSchedule_RetryPolicyProperty{MaximumRetryAttempts: jsii.Number(0), MaximumEventAgeInSeconds: jsii.Number(60)}}})
}
