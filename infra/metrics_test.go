package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/shared/emf"
)

// ourMetrics are those that a deployment has, by name: what they have as dimensions
// besides nothing.
func ourMetrics() map[string][]string {
	names := map[string][]string{}
	for _, m := range metrics {
		names[m.name] = nil
		if m.code {
			names[m.name] = []string{"Code"}
		}
	}
	for _, m := range emf.Metrics() {
		names[m.Name] = nil
		if m.ByNode {
			names[m.Name] = []string{emf.NodeDimension}
		}
	}
	return names
}

// What the dashboard draws and alarms watch exists, by name and dimension; a name that
// nobody writes would be drawn as an empty graph, and alarm nobody.
func TestWhatIsDrawnAndWatchedIsWritten(t *testing.T) {
	const namespace = "Spillway/full"
	have := ourMetrics()
	drawn := 0
	check := func(where, name string, dimensions ...string) {
		drawn++
		own, ok := have[name]
		if !ok {
			t.Errorf("%s has %s, which nothing writes", where, name)
		}
		for _, d := range dimensions {
			if !slices.Contains(own, d) {
				t.Errorf("%s has %s by %s, which it is not written by", where, name, d)
			}
		}
	}
	for _, a := range built["full"].of("AWS::CloudWatch::Alarm") {
		if a.Properties["Namespace"] == namespace {
			check("alarm", a.Properties["MetricName"].(string))
			if d, _ := a.Properties["Dimensions"].([]any); len(d) > 0 {
				t.Errorf("an alarm of ours has dimensions %s", text(d))
			}
		}
	}
	search := regexp.MustCompile(`SEARCH\('\{` + namespace + `,(\w+)\} (?:MetricName=")?(\w+)`)
	for _, d := range built["full"].of("AWS::CloudWatch::Dashboard") {
		var body struct {
			Widgets []struct {
				Properties struct {
					Title   string
					Metrics [][]any
				}
			}
		}
		if err := json.Unmarshal([]byte(bodyText(d.Properties["DashboardBody"])), &body); err != nil {
			t.Fatal(err)
		}
		for _, w := range body.Widgets {
			for _, m := range w.Properties.Metrics {
				if name, ok := m[0].(string); ok {
					if name == namespace {
						check(w.Properties.Title, m[1].(string))
					}
					continue
				}
				expression, _ := m[0].(map[string]any)["expression"].(string)
				for _, found := range search.FindAllStringSubmatch(expression, -1) {
					check(w.Properties.Title, found[2], found[1])
				}
				if strings.Contains(expression, "SEARCH") && !search.MatchString(expression) {
					t.Errorf("%s searches for %s, which is not looked into here", w.Properties.Title, expression)
				}
			}
		}
	}
	if drawn < 35 {
		t.Errorf("only %d metrics were found", drawn)
	}
}

// bodyText is a text that CloudFormation may put together, with its references left out.
func bodyText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	join, _ := v.(map[string]any)["Fn::Join"].([]any)
	var b strings.Builder
	for _, part := range join[1].([]any) {
		if s, ok := part.(string); ok {
			b.WriteString(s)
		} else {
			b.WriteString("reference")
		}
	}
	return b.String()
}

// Names are written once: a filter and a node's line would add up otherwise.
func TestEachMetricHasOneSource(t *testing.T) {
	for _, m := range emf.Metrics() {
		if slices.ContainsFunc(metrics, func(f metric) bool { return f.name == m.Name }) {
			t.Errorf("%s is written by a filter and by nodes", m.Name)
		}
	}
}

func TestWithoutMetricsNodesWriteNone(t *testing.T) {
	for name, want := range map[string]string{"full": "", "small": "off"} {
		for id, f := range built[name].of("AWS::Lambda::Function") {
			vars, _ := f.Properties["Environment"].(map[string]any)["Variables"].(map[string]any)
			got, _ := vars["SPILLWAY_EMF"].(string)
			if strings.HasPrefix(id, "NodeFunction") && got != want || !strings.HasPrefix(id, "NodeFunction") && got != "" {
				t.Errorf("%s: %s is told %q", name, id, got)
			}
		}
	}
}
