package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
)

// runbook is where an alarm's text sends its reader.
const runbook = "What to do: docs/operations.md, section Alarms, "

// alarm is one that somebody should be woken by.
type alarm struct {
	id, metric, statistic, text string
	threshold                   float64
	minutes                     int // of a period
	periods                     int
	below                       bool // breached under the threshold, and without data
	namespace                   string
	dimensions                  map[string]*string
}

func (d *stack) alarms() []alarm {
	fleet := map[string]*string{"FunctionName": d.functions["fleet"].name}
	list := []alarm{
		{id: "DeadLetters", metric: "ApproximateNumberOfMessagesVisible", statistic: "Maximum", text: "events nobody could handle", threshold: 0, minutes: 5, periods: 1,
			namespace: "AWS/SQS", dimensions: map[string]*string{"QueueName": d.dead.name}},
		{id: "SweepStopped", metric: "Invocations", statistic: "Sum", text: "the fleet is not swept", threshold: 1, minutes: 5, periods: 2, below: true,
			namespace: "AWS/Lambda", dimensions: fleet},
		{id: "JoinsThrottled", metric: "Throttles", statistic: "Sum", text: "joins are refused by Lambda's quota", threshold: 0, minutes: 5, periods: 1,
			namespace: "AWS/Lambda", dimensions: map[string]*string{"FunctionName": d.functions["participant"].name}},
	}
	if !d.settings.Metrics {
		return list
	}
	list = append(list,
		alarm{id: "NobodyAdmitted", metric: "OldestWaitMs", statistic: "Maximum", text: "somebody has waited for more than three minutes", threshold: 180_000, minutes: 1, periods: 3},
		alarm{id: "LaunchesFailing", metric: "LaunchesRefused", statistic: "Sum", text: "EC2 refuses instances", threshold: 2, minutes: 5, periods: 2},
		alarm{id: "Leaked", metric: "Leaked", statistic: "Minimum", text: "instances run that belong to no node", threshold: 0, minutes: 5, periods: 3},
		alarm{id: "Errors", metric: "Faults", statistic: "Sum", text: "functions log errors", threshold: 5, minutes: 5, periods: 2})
	if d.settings.BudgetPerHour > 0 {
		list = append(list, alarm{id: "Budget", metric: "DollarsPerHour", statistic: "Minimum", text: "nine tenths of the hourly budget are used: soon nobody else is admitted",
			threshold: 0.9 * d.settings.BudgetPerHour, minutes: 5, periods: 3})
	}
	return list
}

func (d *stack) addAlarms() {
	if !d.settings.Alarms {
		return
	}
	actions := &[]any{}
	if d.settings.AlarmEmail != "" {
		topic := awssns.NewCfnTopic(d.scope, jsii.String("AlarmTopic"), &awssns.CfnTopicProps{Tags: d.tagList()})
		awssns.NewCfnSubscription(d.scope, jsii.String("AlarmMail"), &awssns.CfnSubscriptionProps{TopicArn: topic.Ref(),
			Protocol: jsii.String("email"), Endpoint: jsii.String(d.settings.AlarmEmail)})
		awssns.NewCfnTopicPolicy(d.scope, jsii.String("AlarmTopicPolicy"), &awssns.CfnTopicPolicyProps{Topics: &[]*string{topic.Ref()},
			PolicyDocument: document(
				statement{"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topic.Ref(),
					"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}}},
				statement{"Effect": "Allow", "Principal": map[string]any{"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish", "Resource": topic.Ref(),
					"Condition": map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": d.scope.Account()}}})})
		actions = &[]any{topic.Ref()}
	}
	for _, a := range d.alarms() {
		d.addAlarm(a, actions)
	}
}

func (d *stack) addAlarm(a alarm, actions *[]any) {
	operator, missing := "GreaterThanThreshold", "notBreaching"
	if a.below {
		operator, missing = "LessThanThreshold", "breaching"
	}
	namespace := d.namespace()
	if a.namespace != "" {
		namespace = &a.namespace
	}
	var dimensions []any
	for name, value := range a.dimensions {
		dimensions = append(dimensions, &awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String(name), Value: value})
	}
	awscloudwatch.NewCfnAlarm(d.scope, jsii.String("Alarm"+a.id), &awscloudwatch.CfnAlarmProps{
		AlarmDescription: jsii.String("Spillway " + d.settings.Stack + ": " + a.text + ". " + runbook + a.id),
		Namespace:        namespace, MetricName: jsii.String(a.metric), Statistic: jsii.String(a.statistic), Dimensions: dimensions,
		Period: jsii.Number(60 * a.minutes), EvaluationPeriods: jsii.Number(a.periods), Threshold: jsii.Number(a.threshold),
		ComparisonOperator: &operator, TreatMissingData: &missing, AlarmActions: actions, Tags: d.tagList()})
}
