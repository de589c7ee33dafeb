package main

import (
	"encoding/json"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"github.com/spillway-sfu/spillway/shared/emf"
)

// graph is one of the dashboard; a metric may be an expression over the others.
type graph struct {
	title, statistic string
	metrics          []any
}

// addDashboard draws what an operator asks, most urgent first.
func (d *stack) addDashboard() {
	if !d.settings.Dashboard {
		return
	}
	ours := d.ours
	lambda := func(metric string) []any {
		var out []any
		for _, f := range functionNames {
			out = append(out, []any{"AWS/Lambda", metric, "FunctionName", *d.functions[f].name, map[string]any{"label": f}})
		}
		return out
	}
	expression := func(id, expr, label string, hidden ...string) []any {
		out := []any{[]any{map[string]any{"expression": expr, "label": label, "id": id}}}
		for i, n := range hidden {
			out = append(out, []any{*d.namespace(), n, map[string]any{"id": string(rune('a' + i)), "visible": false}})
		}
		return out
	}
	graphs := []graph{
		{"People, and rooms on each node", "Maximum", ours("People", "Rooms")},
		{"Nodes by state", "Maximum", ours("NodesReady", "NodesDraining", "NodesOther")},
		{"Claimed, measured and capacity (kbps)", "Maximum", ours("ClaimedKbps", "MeasuredKbps", "CapacityKbps")},
		{"Who waits, and how long the first (ms)", "Maximum", ours("Waiting", "OldestWaitMs")},
		{"Launches, and those EC2 refused", "Sum", ours("Launches", "LaunchesRefused")},
		{"Wait and launch, when they ended (ms)", "p95", ours("WaitedMs", "LaunchMs")},
		{"Join latency (ms)", "p95", ours("JoinMs")},
		{"People who changed nodes", "Sum", ours("Moves")},
		{"Refusals by code", "Sum", []any{[]any{map[string]any{"expression": "SEARCH('{" + *d.namespace() + ",Code} Refusals', 'Sum', 300)", "id": "codes"}}}},
		{"Instances: dollars per hour", "Maximum", ours("DollarsPerHour")},
		{"Dollars per participant-hour", "Maximum", expression("each", "(a + c * 0.00045 * 0.09) / b", "dollars", "DollarsPerHour", "People", "MeasuredKbps")},
		{"Egress (GB per hour)", "Maximum", expression("gb", "a * 0.00045", "GB per hour", "MeasuredKbps")},
		{"Pipes between nodes (kbps)", "Maximum", ours("PipesKbps")},
		{"Packets lost on the way to people (%)", "Maximum", ours("LossPercent")},
		{"Functions: duration (ms)", "p95", lambda("Duration")},
		{"Functions: errors", "Sum", lambda("Errors")},
	}
	graphs = slices.Insert(graphs, len(graphs)-2, d.mediaGraphs()...)
	var widgets []any
	for i, g := range graphs {
		widgets = append(widgets, map[string]any{"type": "metric", "x": 12 * (i % 2), "y": 6 * (i / 2), "width": 12, "height": 6,
			"properties": map[string]any{"title": g.title, "stat": g.statistic, "metrics": g.metrics, "region": *d.scope.Region(), "period": 60, "view": "timeSeries"}})
	}
	body, err := json.Marshal(map[string]any{"widgets": widgets})
	if err != nil {
		panic(err) // maps and strings that are no JSON
	}
	awscloudwatch.NewCfnDashboard(d.scope, jsii.String("Dashboard"), &awscloudwatch.CfnDashboardProps{
		DashboardName: d.name(), DashboardBody: jsii.String(string(body))})
}

// ours are metrics of the deployment.
func (d *stack) ours(names ...string) []any {
	var out []any
	for _, n := range names {
		out = append(out, []any{*d.namespace(), n})
	}
	return out
}

// mediaGraphs draw what nodes measure.
func (d *stack) mediaGraphs() []graph {
	ours := d.ours
	each := func(metric string) []any { // a line for each node
		return []any{[]any{map[string]any{"expression": "SEARCH('{" + *d.namespace() + "," + emf.NodeDimension + "} MetricName=\"" + metric + "\"', 'Maximum', 60)", "id": "nodes"}}}
	}
	return []graph{
		{"People on each node", "Maximum", each("NodePeople")},
		{"Processor of each node (%)", "Maximum", each("NodeCpuPercent")},
		{"What each node sends (kbps)", "Maximum", each("NodeSendKbps")},
		{"People reached over TCP, and all, on a node", "Maximum", ours("NodePeopleOverTcp", "NodePeople")},
		{"People's round-trip time and jitter (ms)", "p95", ours("ClientRttMs", "ClientJitterMs")},
		{"Packets lost, as browsers see it (%)", "p95", ours("ClientSendLossPercent", "ClientReceiveLossPercent")},
		{"People whose pictures the machine or the network limits", "Sum", ours("ClientsLimitedByCpu", "ClientsLimitedByBandwidth")},
		{"Pictures that stood still", "Sum", ours("ClientFreezes")},
		{"Key frames asked for, and packets sent again", "Sum", ours("NodeKeysAsked", "NodeKeysSent", "NodeRepeated")},
		{"People in a room, on a node", "p95", ours("RoomPeople", "RoomPublishers")},
	}
}
