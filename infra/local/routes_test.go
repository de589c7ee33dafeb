package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events"
)

// request makes a request as a page of an origin does, and returns the answer.
func request(t *testing.T, method, path, origin, body string) (status int, answer map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(system.Demo, "/")+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal(raw, &answer) != nil {
		answer = map[string]any{"text": string(raw)}
	}
	return response.StatusCode, answer
}

func TestTheDemoIsServed(t *testing.T) {
	status, page := request(t, "GET", "/", "", "")
	if text, _ := page["text"].(string); status != 200 || !strings.Contains(text, "<script") {
		t.Errorf("%d %.100v", status, page)
	}
	if status, _ := request(t, "GET", "/no/such/page", "", ""); status != 404 {
		t.Errorf("no such page: %d", status)
	}
}

func TestTokensOfTheDemo(t *testing.T) {
	status, got := request(t, "POST", "/local/token", "", `{"room":"minted","name":"Ann","identity":"ann","role":"publisher"}`)
	if status != 200 || got["identity"] != "ann" || got["url"] != system.Socket {
		t.Fatalf("%d %v", status, got)
	}
	_, j := peer(t, "minted")
	admitted(t, dial(t, got["token"].(string)), j)
	if n := people(t, "minted"); n != 1 {
		t.Errorf("%d seats", n)
	}

	_, viewer := request(t, "POST", "/local/token", "", `{"room":"minted","name":"Bob","role":"viewer"}`)
	if viewer["identity"] != "Bob" {
		t.Errorf("identity %v, want the name", viewer["identity"])
	}
	c := dial(t, viewer["token"].(string))
	j.Role = events.Publisher
	if err := c.Send(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	wantError(t, c, events.CodeTokenNoPermission)

	_, late := request(t, "POST", "/local/token", "", `{"room":"minted","name":"Eve","lifeSeconds":-60}`)
	c = dial(t, late["token"].(string))
	if err := c.Send(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	wantError(t, c, events.CodeTokenExpired)

	for _, bad := range []string{``, `{"room":`, `[]`, `{"room":"r","name":"n","role":"king"}`, `{"name":"n"}`, `{"room":"r"}`,
		`{"room":"` + strings.Repeat("r", 9000) + `","name":"n"}`} {
		if status, got := request(t, "POST", "/local/token", "", bad); status != 400 || got["code"] == nil || got["token"] != nil {
			t.Errorf("%.50s: %d %v", bad, status, got)
		}
	}
}

func TestOtherSitesCannotUseTheStack(t *testing.T) {
	const body = `{"room":"r","name":"n"}`
	for origin, want := range map[string]int{
		strings.TrimSuffix(system.Demo, "/"): 200, "http://localhost:5173": 200, "http://127.0.0.1:1": 200, "http://[::1]:1": 200,
		"https://example.com": 403, "http://localhost.example.com": 403, "null": 403, "http://192.0.2.1": 403,
	} {
		if status, got := request(t, "POST", "/local/token", origin, body); status != want {
			t.Errorf("%s: %d %v, want %d", origin, status, got, want)
		}
	}
	// A name of theirs that points here does not make their page one of ours.
	r, err := http.NewRequestWithContext(t.Context(), "POST", system.Demo+"local/token", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "rebound.example.com:8080"
	r.Header.Set("Origin", "http://"+r.Host)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 403 {
		t.Errorf("by a name that points here: %d", response.StatusCode)
	}
	for _, path := range []string{"GET /local/stats", "GET /local/instances", "POST /local/sweep", "POST /local/faults", "POST /local/event", "POST /local/deploy",
		"POST /local/host/i-1", "PUT /local/host/i-1/latest/api/token", "GET /local/host/i-1/latest/meta-data/spot/instance-action"} {
		method, path, _ := strings.Cut(path, " ")
		if status, _ := request(t, method, path, "https://example.com", "{}"); status != 403 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestStatsCount(t *testing.T) {
	type stats struct {
		Gateway struct {
			In, Posts map[string]int64
		}
		Functions map[string]struct{ Invocations, ColdStarts int64 }
	}
	read := func() (s stats) {
		if err := system.Call(t.Context(), "GET", "/local/stats", &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := read()
	_, j := peer(t, "stats")
	admitted(t, dial(t, mint(t, "stats", "ann")), j)
	if status, _ := request(t, "POST", "/local/sweep", "", ""); status != 200 {
		t.Errorf("sweep: %d", status)
	}
	after := read()
	for _, route := range []string{"$connect", "join", "answered"} {
		if after.Gateway.In[route] <= before.Gateway.In[route] {
			t.Errorf("%s: %d, then %d", route, before.Gateway.In[route], after.Gateway.In[route])
		}
	}
	for _, f := range []string{"authorize", "participant", "node", "fleet"} {
		if after.Functions[f].Invocations <= before.Functions[f].Invocations || after.Functions[f].ColdStarts == 0 {
			t.Errorf("%s: %+v, then %+v", f, before.Functions[f], after.Functions[f])
		}
	}
	if after.Gateway.Posts["200"] < before.Gateway.Posts["200"]+2 { // the offer and the answer
		t.Errorf("posts: %v, then %v", before.Gateway.Posts, after.Gateway.Posts)
	}
}

// A post lost on its way is made good by asking again.
func TestFaultsReachTheGateway(t *testing.T) {
	if status, got := request(t, "POST", "/local/faults", "", `{"dropPosts":2}`); status != 400 || !strings.Contains(got["text"].(string), "dropPosts") {
		t.Errorf("%d %v", status, got)
	}
	defer request(t, "POST", "/local/faults", "", `{}`)
	if status, got := request(t, "POST", "/local/faults", "", `{"dropPosts":1}`); status != 200 || got["dropPosts"] != 1.0 {
		t.Fatalf("%d %v", status, got)
	}
	_, j := peer(t, "faults")
	c := dial(t, mint(t, "faults", "ann"))
	if err := c.Send(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a seat is taken in silence", func() bool { return people(t, "faults") == 1 })
	if status, _ := request(t, "POST", "/local/faults", "", `{}`); status != 200 {
		t.Fatal(status)
	}
	admitted(t, c, j)
}

// What hosts say of instances is what the metadata service of EC2 would say.
func TestHostsTellWhatIsTakenAway(t *testing.T) {
	const spot, maintenance = "/local/host/i-test/latest/meta-data/spot/instance-action", "/local/host/i-test/latest/meta-data/events/maintenance/scheduled"
	get := func(path, token string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", strings.TrimSuffix(system.Demo, "/")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Aws-Ec2-Metadata-Token", token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		raw, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, strings.TrimSpace(string(raw))
	}
	_, told := request(t, "PUT", "/local/host/i-test/latest/api/token", "", "")
	token, _ := told["text"].(string)
	if status, _ := get(spot, "wrong"); status != 401 {
		t.Errorf("without a token: %d", status)
	}
	if status, _ := get(spot, token); status != 404 {
		t.Errorf("nothing to tell: %d", status)
	}
	for _, bad := range []string{"", "{}", `{"why":"spot"}`, `{"why":"rain","ends":"2030-01-02T03:04:05Z"}`} {
		if status, got := request(t, "POST", "/local/host/i-test", "", bad); status != 400 || got["code"] == nil {
			t.Errorf("%s: %d %v", bad, status, got)
		}
	}
	if status, _ := request(t, "POST", "/local/host/i-test", "", `{"why":"spot","ends":"2030-01-02T03:04:05Z"}`); status != 200 {
		t.Errorf("a notice: %d", status)
	}
	if status, said := get(spot, token); status != 200 || said != `{"action":"terminate","time":"2030-01-02T03:04:05Z"}` {
		t.Errorf("spot: %d %s", status, said)
	}
	if status, _ := request(t, "POST", "/local/host/i-test", "", `{"why":"maintenance","ends":"2030-01-02T03:04:05Z"}`); status != 200 {
		t.Errorf("maintenance: %d", status)
	}
	if status, said := get(maintenance, token); status != 200 || said != `[{"NotBefore":"2 Jan 2030 03:04:05 UTC","State":"active"}]` {
		t.Errorf("maintenance: %d %s", status, said)
	}
}

func TestEventsAndDeploymentsThatAreNone(t *testing.T) {
	for _, bad := range []string{"", "{}", `{"source":"spillway","detail-type":"x","detail":{}}`, `{"source":"aws.ec2","detail":{}}`, `{"source":"aws.ec2","detail-type":"x"}`} {
		if status, got := request(t, "POST", "/local/event", "", bad); status != 400 || got["code"] == nil {
			t.Errorf("event %s: %d %v", bad, status, got)
		}
	}
	for _, bad := range []string{"", "{}", `{"version":"` + strings.Repeat("v", 101) + `"}`} {
		if status, got := request(t, "POST", "/local/deploy", "", bad); status != 400 || got["code"] == nil {
			t.Errorf("deployment %s: %d %v", bad, status, got)
		}
	}
}
