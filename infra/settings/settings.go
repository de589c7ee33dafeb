// Package settings is what a customer chooses about a deployment: one typed
// document with defaults, in which a wrong value is refused with one sentence
// that names it.
package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// File is the document's name where nothing else is said.
const File = "spillway.json"

// Settings describe a deployment. Each is documented where it stands, by its doc
// tag; [Table] lists them for docs/operations.md.
type Settings struct {
	Stack   string   `json:"stack" doc:"Name of the deployment, unique in account and Region: a to z, 0 to 9 and dashes, 20 characters at most. It cannot be changed later: it names everything"`
	Regions []string `json:"regions" doc:"Where to deploy. Each Region gets a stack of its own, with rooms of its own; empty means the Region that the credentials are set to"`
	Zones   int      `json:"zones" doc:"Availability zones with a subnet for nodes, 1 to 6; more of them give more spot capacity to choose from. A Region may have only 2 (us-west-1)"`

	InstanceTypes []string `json:"instanceTypes" doc:"EC2 instance types of nodes, the preferred first; the next is tried where one is refused"`
	MaxNodes      int      `json:"maxNodes" doc:"Most nodes at a time in a Region, 1 to 1000; beyond that people are told no_capacity"`
	NodesPerRoom  int      `json:"nodesPerRoom" doc:"Most nodes that one room may be on, 1 to 1000; the nodes of a room are joined by pipes. With 1 a room is as large as a node"`
	BudgetPerHour float64  `json:"budgetPerHour" doc:"Dollars per hour of instances in a Region, above which none is launched any more; 0 means no limit but maxNodes"`
	IdleMinutes   int      `json:"idleMinutes" doc:"Minutes after which a node that carries nobody is terminated, 1 to 1440"`
	DrainMinutes  int      `json:"drainMinutes" doc:"Minutes that people may take to leave a node that drains (by an operator, for maintenance, for a new version), 1 to 1440; whoever is still there then is made to join elsewhere. A spot notice leaves 90 seconds in any case"`
	ReplacePeople int      `json:"replacePeoplePerMinute" doc:"People a minute that may be moved off nodes of an earlier version (program, image or launch template) after a deployment, 0 to 100000: such nodes are drained one after the other while the others can take their people. 0 leaves them until they are idle"`
	SpareSeats    int      `json:"spareSeats" doc:"Publishers' seats of the default profile to keep free ahead of people, 0 to 10000: they join without waiting for a node. Above 0 a node runs, and is billed, also while nobody is in a room"`
	Consolidate   string   `json:"consolidate" doc:"How eagerly nodes are emptied whose people fit onto others: off, cautious (at most one person moved for each cent an hour that it saves, 4 nodes an hour) or eager (15 people, 60 nodes, and busy nodes too). Nodes on which somebody shares a screen are spared, by the eager if there is another. Moving is a second connection made before the first ends"`
	SpotPercent   int      `json:"spotPercent" doc:"Share of nodes first asked for as spot instances, 0 to 100; what EC2 refuses is asked for on demand. A spot node can be taken away with two minutes' notice"`
	MediaPort     int      `json:"mediaPort" doc:"UDP port of media on nodes, 1024 to 65535; people whose networks block UDP get media over TCP port 443"`

	IPv6 bool `json:"ipv6" doc:"Give nodes an IPv6 address, too, for people whose networks have nothing else or better; AWS bills nothing for it"`

	Domain         Domain `json:"domain" doc:"Name of your own for the two APIs; without one they have the names that AWS gives them"`
	AlarmEmail     string `json:"alarmEmail" doc:"Address that alarms are sent to, which must confirm AWS's first message; empty means that alarms only show in CloudWatch"`
	DeletionPolicy string `json:"deletionPolicy" doc:"What destroy does with the table and the secrets: delete or keep"`

	Alarms      bool   `json:"alarms" doc:"Make the alarms; CloudWatch gives an account ten for nothing, then bills $0.10 a month each"`
	Dashboard   bool   `json:"dashboard" doc:"Make the dashboard; CloudWatch gives an account three for nothing, then bills $3 a month each"`
	Metrics     bool   `json:"metrics" doc:"Write metrics with the logs; CloudWatch gives an account ten for nothing, then bills $0.30 a month each, for the hours in which they have data: while nobody is in a room they have none"`
	Tracing     bool   `json:"tracing" doc:"Trace functions with X-Ray, nodes' heartbeats excepted; 100,000 traces a month are free"`
	LogDays     int    `json:"logDays" doc:"Days that logs are kept: 1, 3, 5, 7, 14, 30, 60, 90, 180 or 365"`
	LogLevel    string `json:"logLevel" doc:"What functions and nodes log: debug, info, warn or error"`
	Concurrency int    `json:"concurrency" doc:"The account's Lambda quota of concurrent executions, 10 to 100000. With 400 or more, a part of it is reserved so that joins, heartbeats and the fleet cannot starve each other"`
	Connects    int    `json:"connectsPerSecond" doc:"New connections per second that the WebSocket API takes, 1 to 10000. AWS's own quota is 500 an account"`
	Messages    int    `json:"messagesPerSecond" doc:"Messages per second that the WebSocket API takes, 10 to 100000"`

	Tags map[string]string `json:"tags" doc:"Further tags of everything, such as a cost centre: 30 at most; names do not begin with aws: or spillway:"`
}

// Domain is a name of the customer's own.
type Domain struct {
	Name           string `json:"name" doc:"The WebSocket API's name, such as rtc.example.com; the HTTP API is at api. before it"`
	CertificateARN string `json:"certificateArn" doc:"ARN of an ACM certificate of the same Region for both names"`
	HostedZoneID   string `json:"hostedZoneId" doc:"Route 53 zone to put the records into; empty means that you make them, from the stack's outputs"`
}

// Default returns the settings of a deployment that says nothing.
func Default() Settings {
	return Settings{
		Stack: "main", Regions: []string{}, Zones: 3,
		InstanceTypes: []string{"c7g.large", "c7g.xlarge"}, MaxNodes: 20, NodesPerRoom: 100, BudgetPerHour: 10, IdleMinutes: 5, DrainMinutes: 10, ReplacePeople: 60, Consolidate: "cautious", MediaPort: 7882, IPv6: true,
		DeletionPolicy: Delete, Alarms: true, Dashboard: true, Metrics: true, Tracing: true,
		LogDays: 14, LogLevel: "info", Concurrency: 1000, Connects: 500, Messages: 5000, Tags: map[string]string{},
	}
}

// Deletion policies.
const (
	Delete = "delete"
	Keep   = "keep"
)

// Read reads a document; what it leaves out has its default. A file that does
// not exist is an error unless it is [File], which need not.
func Read(name string) (Settings, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && name == File {
		return Default(), nil
	}
	if err != nil {
		return Settings{}, fmt.Errorf("settings: %w", err)
	}
	s, err := Parse(text)
	if err != nil {
		return Settings{}, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// Parse reads a document. Its error is a sentence that names what is wrong.
func Parse(text []byte) (Settings, error) {
	s := Default()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Settings{}, explain(err, text)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Settings{}, errors.New("something follows the document's last brace")
	}
	return s, s.Validate()
}

// explain says in the document's words what the JSON library says in Go's.
func explain(err error, text []byte) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		expected := map[string]string{"string": "text in quotes", "int": "a whole number", "float64": "a number", "bool": "true or false",
			"slice": "a list", "map": "an object", "struct": "an object"}[kind.Type.Kind().String()]
		return fmt.Errorf("%q is a %s, expected %s", kind.Field, kind.Value, expected)
	case errors.As(err, &syntax):
		line := 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
		return fmt.Errorf("line %d is not JSON: %w", line, err)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		name := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
		return fmt.Errorf("there is no setting %q; there are %s", name, strings.Join(names(), ", "))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the document ends before its last brace")
	}
	return err
}

// names lists the settings, as in the document.
func names() []string {
	var out []string
	for _, row := range rows() {
		if !strings.Contains(row.name, ".") || strings.HasPrefix(row.name, "domain.") {
			out = append(out, row.name)
		}
	}
	slices.Sort(out)
	return out
}
