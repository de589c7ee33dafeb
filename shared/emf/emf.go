// Package emf writes what nodes measure as CloudWatch reads it out of a log: lines in
// its embedded metric format (CloudWatch User Guide, "Specification: Embedded metric
// format"). A line is about a node or about one of its rooms.
//
// Each value of a dimension makes a metric of its own, billed as one. So rooms are no
// dimension: a line has its room's name as a property, which Logs Insights finds, and
// its numbers join those of all other rooms. Of a node's metrics four have the node as
// a dimension, beside all of them without.
package emf

import (
	"encoding/json"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// Namespace is that of a deployment's metrics.
func Namespace(stack string) string { return "Spillway/" + stack }

// NodeDimension is the only dimension there is.
const NodeDimension = "Node"

// Metric is one that CloudWatch is told of.
type Metric struct {
	Name string
	Unit string // as CloudWatch spells it
	// ByNode metrics exist for each node, too.
	ByNode bool
}

// nodeMetric is one of a node's line, roomMetric of a room's: its values, or none
// where there is nothing to tell.
type (
	nodeMetric struct {
		Metric
		value func(events.NodeFigures) float64
	}
	roomMetric struct {
		Metric
		values func(events.RoomFigures) []float64
	}
)

func count(n int) float64      { return float64(n) }
func thousandth(n int) float64 { return float64(n) / 10 }

var nodeMetrics = []nodeMetric{
	{Metric{"NodePeople", "Count", true}, func(f events.NodeFigures) float64 { return count(f.People) }},
	{Metric{"NodeRooms", "Count", false}, func(f events.NodeFigures) float64 { return count(f.Rooms) }},
	{Metric{"NodePeopleOverTcp", "Count", false}, func(f events.NodeFigures) float64 { return count(f.OverTCP) }},
	{Metric{"NodeScreens", "Count", false}, func(f events.NodeFigures) float64 { return count(f.Screens) }},
	{Metric{"NodeSendKbps", "Kilobits/Second", true}, func(f events.NodeFigures) float64 { return float64(f.SendKbps) }},
	{Metric{"NodeSendPackets", "Count/Second", false}, func(f events.NodeFigures) float64 { return float64(f.SendPPS) }},
	{Metric{"NodeReceiveKbps", "Kilobits/Second", false}, func(f events.NodeFigures) float64 { return float64(f.ReceiveKbps) }},
	{Metric{"NodeCpuPercent", "Percent", true}, func(f events.NodeFigures) float64 { return count(f.CPUPercent) }},
	{Metric{"NodeLossPercent", "Percent", true}, func(f events.NodeFigures) float64 { return thousandth(f.LossPermille) }},
	{Metric{"NodeNacks", "Count", false}, func(f events.NodeFigures) float64 { return float64(f.Nacks) }},
	{Metric{"NodeRepeated", "Count", false}, func(f events.NodeFigures) float64 { return float64(f.Repeated) }},
	{Metric{"NodeKeysAsked", "Count", false}, func(f events.NodeFigures) float64 { return float64(f.KeysAsked) }},
	{Metric{"NodeKeysSent", "Count", false}, func(f events.NodeFigures) float64 { return float64(f.KeysSent) }},
	{Metric{"NodeDropped", "Count", false}, func(f events.NodeFigures) float64 { return float64(f.Dropped) }},
	{Metric{"NodeBadMessages", "Count", false}, func(f events.NodeFigures) float64 { return float64(f.BadMessages) }},
}

func one(v float64) []float64 { return []float64{v} }

func scaled(values []int64, by float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v) / by
	}
	return out
}

var roomMetrics = []roomMetric{
	{Metric{"RoomPeople", "Count", false}, func(f events.RoomFigures) []float64 { return one(count(f.People)) }},
	{Metric{"RoomPublishers", "Count", false}, func(f events.RoomFigures) []float64 { return one(count(f.Publishers)) }},
	{Metric{"RoomPeopleOverTcp", "Count", false}, func(f events.RoomFigures) []float64 { return one(count(f.OverTCP)) }},
	{Metric{"RoomSendKbps", "Kilobits/Second", false}, func(f events.RoomFigures) []float64 { return one(float64(f.SendKbps)) }},
	{Metric{"ClientRttMs", "Milliseconds", false}, func(f events.RoomFigures) []float64 { return scaled(f.RTTMs, 1) }},
	{Metric{"ClientJitterMs", "Milliseconds", false}, func(f events.RoomFigures) []float64 { return scaled(f.JitterMs, 1) }},
	{Metric{"ClientSendLossPercent", "Percent", false}, func(f events.RoomFigures) []float64 { return scaled(f.SendLossPermille, 10) }},
	{Metric{"ClientReceiveLossPercent", "Percent", false}, func(f events.RoomFigures) []float64 { return scaled(f.ReceiveLossPermille, 10) }},
	{Metric{"ClientSendKbps", "Kilobits/Second", false}, func(f events.RoomFigures) []float64 { return scaled(f.ClientSendKbps, 1) }},
	{Metric{"ClientReceiveKbps", "Kilobits/Second", false}, func(f events.RoomFigures) []float64 { return scaled(f.ClientReceiveKbps, 1) }},
	{Metric{"ClientFreezes", "Count", false}, func(f events.RoomFigures) []float64 { return one(float64(f.Freezes)) }},
	{Metric{"ClientsLimitedByCpu", "Count", false}, func(f events.RoomFigures) []float64 { return one(count(f.LimitedByCPU)) }},
	{Metric{"ClientsLimitedByBandwidth", "Count", false}, func(f events.RoomFigures) []float64 { return one(count(f.LimitedByBandwidth)) }},
}

// Metrics lists all that lines may have.
func Metrics() []Metric {
	var all []Metric
	for _, m := range nodeMetrics {
		all = append(all, m.Metric)
	}
	for _, m := range roomMetrics {
		all = append(all, m.Metric)
	}
	return all
}

// clockSkew is how far a node's clock may be off to be believed. CloudWatch throws
// away what is two hours ahead.
const clockSkew = time.Hour

// Lines returns what a node's message says, a line for the node, where the message
// tells of it, and one for each room, each without its line feed.
func Lines(namespace string, m events.Metrics, now time.Time) [][]byte {
	at := time.UnixMilli(m.TakenMs)
	if at.After(now.Add(clockSkew)) || at.Before(now.Add(-clockSkew)) {
		at = now
	}
	var lines [][]byte
	if m.Figures != nil {
		l := newLine(namespace, at, m)
		for _, metric := range nodeMetrics {
			l.add(metric.Metric, one(metric.value(*m.Figures)))
		}
		l.root["RoomsUntold"] = m.Figures.RoomsUntold
		lines = append(lines, l.encode())
	}
	for _, r := range m.Rooms {
		l := newLine(namespace, at, m)
		for _, metric := range roomMetrics {
			l.add(metric.Metric, metric.values(r))
		}
		l.root["Room"] = r.Room
		lines = append(lines, l.encode())
	}
	return lines
}

// definition is a MetricDefinition, directive a MetricDirective of the specification.
type (
	definition struct{ Name, Unit string }
	directive  struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []definition
	}
)

// line is one document: its root, and the metrics that it says are in it.
type line struct {
	at          time.Time
	root        map[string]any
	all, byNode directive
}

func newLine(namespace string, at time.Time, m events.Metrics) *line {
	return &line{
		at: at, root: map[string]any{NodeDimension: m.Node, "generation": m.Generation, "msg": "metrics"},
		all:    directive{Namespace: namespace, Dimensions: [][]string{{}}},
		byNode: directive{Namespace: namespace, Dimensions: [][]string{{NodeDimension}}},
	}
}

func (l *line) add(m Metric, values []float64) {
	switch len(values) {
	case 0:
		return
	case 1:
		l.root[m.Name] = values[0]
	default:
		l.root[m.Name] = values
	}
	l.all.Metrics = append(l.all.Metrics, definition{m.Name, m.Unit})
	if m.ByNode {
		l.byNode.Metrics = append(l.byNode.Metrics, definition{m.Name, m.Unit})
	}
}

func (l *line) encode() []byte {
	directives := []directive{l.all}
	if len(l.byNode.Metrics) > 0 {
		directives = append(directives, l.byNode)
	}
	l.root["_aws"] = map[string]any{"Timestamp": l.at.UnixMilli(), "CloudWatchMetrics": directives}
	raw, err := json.Marshal(l.root)
	if err != nil {
		panic("emf: numbers and names cannot be encoded: " + err.Error())
	}
	return raw
}
