package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/gateway"
	"github.com/spillway-sfu/spillway/shared/token"
)

// hostsBelow is where the hosts of instances answer.
const hostsBelow = "/local/host/"

// routes is everything on the one port: the two APIs of the deployed stack, the
// demo, and what exists here only.
func (l *local) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/"+stage, l.socket)
	mux.Handle("/"+stage+"/", l.socket)
	mux.Handle("/v1/", &gateway.HTTP{Invoker: l.lambda, Function: "rooms", APIID: "local", Account: account, Log: l.log})
	mux.Handle("POST /local/token", here(l.mintToken))
	mux.Handle("GET /local/stats", here(l.stats))
	mux.Handle("GET /local/instances", here(l.instances))
	mux.Handle("POST /local/sweep", here(l.sweepNow))
	mux.Handle("POST /local/faults", here(l.setFaults))
	mux.Handle("POST /local/event", here(l.sendEvent))
	mux.Handle("POST /local/deploy", here(l.deploy))
	l.hosts.routes(mux, hostsBelow)
	mux.Handle("/", http.FileServer(http.Dir(l.o.demoDir)))
	return mux
}

// here keeps pages of other sites from using what exists for this machine only:
// a browser says which site's page asks, and by which name it found us, which
// for another site's page that had its name point here is that site's.
func here(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := url.URL{Host: r.Host}
		origin, err := url.Parse(r.Header.Get("Origin"))
		if err != nil || !loopback(asked.Hostname()) || origin.String() != "" && !loopback(origin.Hostname()) {
			answer(w, http.StatusForbidden, events.Errorf(events.CodeUnauthorized, "this is for pages of this machine"))
			return
		}
		h(w, r)
	})
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

// tokenRequest is what the demo asks a token with.
type tokenRequest struct {
	Room     string `json:"room"`
	Name     string `json:"name"`
	Identity string `json:"identity"`
	Metadata string `json:"metadata"`
	Role     string `json:"role"`
	Admin    bool   `json:"admin"`
	// LifeSeconds is how long the token is valid (an hour); negative ones have
	// expired.
	LifeSeconds int `json:"lifeSeconds"`
}

// mintToken is the customer's backend of the demo. Whoever reaches it gets in,
// which is why it exists on this machine only.
func (l *local) mintToken(w http.ResponseWriter, r *http.Request) {
	var t tokenRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10)).Decode(&t); err != nil {
		answer(w, http.StatusBadRequest, events.Errorf(events.CodeBadJSON, "expected a JSON object with room, name and role"))
		return
	}
	if t.Role != "" && t.Role != string(events.Publisher) && t.Role != string(events.Viewer) {
		answer(w, http.StatusBadRequest, events.Errorf(events.CodeBadField, "role is %.32q, expected publisher or viewer", t.Role))
		return
	}
	if t.Identity == "" {
		t.Identity = t.Name
	}
	life := time.Duration(t.LifeSeconds) * time.Second
	if life == 0 {
		life = time.Hour
	}
	minted, err := token.Mint(l.o.keyID, l.o.keySecret, token.Claims{
		Identity: t.Identity, Name: t.Name, Metadata: t.Metadata, Room: t.Room, Join: true, Admin: t.Admin,
		CanPublish: t.Role != string(events.Viewer), CanSubscribe: true, CanPublishData: true, CanDescribe: true, Expires: time.Now().Add(life),
	})
	if err != nil {
		answer(w, http.StatusBadRequest, events.Errorf(events.CodeBadField, "%s", err.Error()))
		return
	}
	answer(w, http.StatusOK, map[string]string{"token": minted, "url": "ws://" + r.Host + "/" + stage, "identity": t.Identity})
}

func (l *local) stats(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"gateway": l.socket.Stats(), "functions": l.lambda.Stats()})
}

func (l *local) instances(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"instances": l.agent.Instances()})
}

func (l *local) sweepNow(w http.ResponseWriter, r *http.Request) {
	if err := l.sweep(r.Context()); err != nil {
		answer(w, http.StatusInternalServerError, events.Errorf(events.CodeInternal, "the sweep failed; the log of fleet says why"))
		return
	}
	answer(w, http.StatusOK, map[string]bool{"swept": true})
}

// setFaults switches the gateway's faults; what the body leaves out is off.
func (l *local) setFaults(w http.ResponseWriter, r *http.Request) {
	var f gateway.Faults
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10)).Decode(&f)
	if err == nil {
		err = l.socket.SetFaults(f)
	}
	if err != nil {
		answer(w, http.StatusBadRequest, events.Errorf(events.CodeBadField, "%s", err.Error()))
		return
	}
	answer(w, http.StatusOK, f)
}
