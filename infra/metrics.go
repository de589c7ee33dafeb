package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"github.com/spillway-sfu/spillway/shared/emf"
)

// metric is read from the lines that functions log of what they do. None has a room's
// name: every value of a dimension is a metric of its own, and billed as one. What
// nodes measure needs no filter: it is logged as CloudWatch reads it by itself (package
// emf), in the same namespace.
type metric struct {
	name, function, pattern, value, unit string
	code                                 bool // by code of error
}

var metrics = []metric{
	{"JoinMs", "participant", `{ $.msg = "decision" && $.step = "join" }`, "$.tookMs", "Milliseconds", false},
	{"Moves", "participant", `{ $.msg = "decision" && $.step = "join" && $.choice = "seat" && $.inputs.from = "*" }`, "1", "Count", false},
	{"WaitedMs", "fleet", `{ $.msg = "decision" && $.step = "serve" && $.choice = "seat" }`, "$.inputs.waitedMs", "Milliseconds", false},
	{"LaunchMs", "node", `{ $.msg = "decision" && $.step = "hello" && $.choice = "land" }`, "$.inputs.tookMs", "Milliseconds", false},
	{"Refusals", "participant", `{ $.msg = "refused" }`, "1", "Count", true},
	{"Launches", "fleet", `{ $.msg = "instance launched" }`, "1", "Count", false},
	{"LaunchesRefused", "fleet", `{ $.msg = "run instance" }`, "1", "Count", false},
	{"NodesReady", "fleet", `{ $.msg = "fleet" }`, "$.nodesReady", "Count", false},
	{"NodesDraining", "fleet", `{ $.msg = "fleet" }`, "$.nodesDraining", "Count", false},
	{"NodesOther", "fleet", `{ $.msg = "fleet" }`, "$.nodesOther", "Count", false},
	{"People", "fleet", `{ $.msg = "fleet" }`, "$.people", "Count", false},
	{"Rooms", "fleet", `{ $.msg = "fleet" }`, "$.rooms", "Count", false},
	{"ClaimedKbps", "fleet", `{ $.msg = "fleet" }`, "$.claimedKbps", "Kilobits/Second", false},
	{"MeasuredKbps", "fleet", `{ $.msg = "fleet" }`, "$.measuredKbps", "Kilobits/Second", false},
	{"CapacityKbps", "fleet", `{ $.msg = "fleet" }`, "$.capacityKbps", "Kilobits/Second", false},
	{"PipesKbps", "fleet", `{ $.msg = "fleet" }`, "$.pipesKbps", "Kilobits/Second", false},
	{"LossPercent", "fleet", `{ $.msg = "fleet" }`, "$.lossPercent", "Percent", false},
	{"Waiting", "fleet", `{ $.msg = "fleet" }`, "$.waiting", "Count", false},
	{"OldestWaitMs", "fleet", `{ $.msg = "fleet" }`, "$.oldestWaitMs", "Milliseconds", false},
	{"DollarsPerHour", "fleet", `{ $.msg = "fleet" }`, "$.dollarsPerHour", "None", false},
	{"Leaked", "fleet", `{ $.msg = "fleet" }`, "$.leaked", "Count", false},
	{"Faults", "participant", faults, "1", "Count", false},
	{"Faults", "node", faults, "1", "Count", false},
	{"Faults", "fleet", faults, "1", "Count", false},
	{"Faults", "rooms", faults, "1", "Count", false},
	{"Faults", "authorize", faults, "1", "Count", false},
}

// faults are lines about what should not happen.
const faults = `{ $.level = "ERROR" }`

// namespace holds a deployment's metrics.
func (d *stack) namespace() *string { return jsii.String(emf.Namespace(d.settings.Stack)) }

func (d *stack) addMetrics() {
	if !d.settings.Metrics {
		return
	}
	for _, m := range metrics {
		t := &awslogs.CfnMetricFilter_MetricTransformationProperty{MetricName: jsii.String(m.name), MetricNamespace: d.namespace(),
			MetricValue: jsii.String(m.value), Unit: jsii.String(m.unit)}
		if m.code {
			t.Dimensions = []any{map[string]any{"key": "Code", "value": "$.code"}}
		}
		awslogs.NewCfnMetricFilter(d.scope, jsii.String("Metric"+m.name+title(m.function)), &awslogs.CfnMetricFilterProps{
			LogGroupName: d.functions[m.function].log, FilterPattern: jsii.String(m.pattern), MetricTransformations: []any{t}})
	}
}
