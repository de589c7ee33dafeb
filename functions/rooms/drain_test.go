package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	lambda "github.com/aws/aws-lambda-go/events"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
)

func TestDrainsANodeByADeadline(t *testing.T) {
	for _, c := range []struct {
		within string // empty: not given
		status int
		want   time.Duration
	}{
		{"", http.StatusOK, control.DefaultDrain},
		{"0", http.StatusOK, 0},
		{"300", http.StatusOK, 5 * time.Minute},
		{"86400", http.StatusOK, 24 * time.Hour},
		{"86401", http.StatusBadRequest, 0},
		{"-1", http.StatusBadRequest, 0},
		{"5m", http.StatusBadRequest, 0},
		{"99999999999999999999", http.StatusBadRequest, 0},
	} {
		t.Run(c.within, func(t *testing.T) {
			a, w := office()
			a.vault = wire.Hold(wire.Secrets{APIKeys: []string{"key"}})
			n := fleet.Node{ID: "n-1", State: fleet.Ready, Generation: 1, Region: "eu-north-1", HelloAt: now}
			if err := w.Store.Commit(t.Context(), []control.Change{control.PutNode{Node: n}}); err != nil {
				t.Fatal(err)
			}
			ask := func(method, path string, query map[string]string) lambda.APIGatewayV2HTTPResponse {
				r := lambda.APIGatewayV2HTTPRequest{RawPath: path, Headers: map[string]string{"authorization": "Bearer key"}, QueryStringParameters: query}
				r.RequestContext.HTTP.Method = method
				answer, err := a.serve(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				return answer
			}
			query := map[string]string{}
			if c.within != "" {
				query["withinSeconds"] = c.within
			}
			answer := ask(http.MethodPost, "/v1/nodes/n-1/drain", query)
			if answer.StatusCode != c.status {
				t.Fatalf("%d: %s", answer.StatusCode, answer.Body)
			}
			var list struct{ Nodes []node }
			if err := json.Unmarshal([]byte(ask(http.MethodGet, "/v1/nodes", nil).Body), &list); err != nil || len(list.Nodes) != 1 {
				t.Fatal(list, err)
			}
			got := list.Nodes[0]
			if c.status != http.StatusOK {
				if got.State != fleet.Ready || !strings.Contains(answer.Body, string(events.CodeBadField)) || !strings.Contains(answer.Body, "withinSeconds") {
					t.Errorf("the node is %s after %s", got.State, answer.Body)
				}
				return
			}
			var told draining
			if err := json.Unmarshal([]byte(answer.Body), &told); err != nil {
				t.Fatal(err)
			}
			if want := a.world.Now().Add(c.want); !told.By.Equal(want) || !got.DrainBy.Equal(want) || got.State != fleet.Draining {
				t.Errorf("told %v; the node is %s by %v, want %v", told.By, got.State, got.DrainBy, want)
			}
		})
	}
}
