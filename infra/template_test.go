package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/settings"
)

// resource is one of a template.
type resource struct {
	Type           string
	Properties     map[string]any
	DeletionPolicy string
	DependsOn      any
}

type synthesised struct {
	resources map[string]resource
	folder    string
}

// of returns the resources of a type, by logical id.
func (s synthesised) of(kind string) map[string]resource {
	out := map[string]resource{}
	for id, r := range s.resources {
		if r.Type == kind {
			out[id] = r
		}
	}
	return out
}

// built is the deployment with everything in it, and one with as little as
// possible: the CDK's engine is started once for all tests.
var built = map[string]synthesised{}

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "spillway-infra-")
	if err == nil {
		err = build(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot synthesise:", err)
		os.Exit(1)
	}
	code := m.Run()
	jsii.Close()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

func build(folder string) error {
	p := Packages{filepath.Join(folder, "lambda"), filepath.Join(folder, "sfu-node")}
	for _, name := range append([]string{secretsMaker}, functionNames...) {
		if err := os.MkdirAll(p.folder(name), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(p.folder(name), "bootstrap"), []byte(name), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(p.Node, []byte("node"), 0o700); err != nil {
		return err
	}
	full := settings.Default()
	full.Stack, full.SpotPercent, full.AlarmEmail, full.Tags = "full", 50, "ops@example.com", map[string]string{"cost-centre": "7"}
	full.Regions = []string{"eu-west-1"}
	full.Domain = settings.Domain{Name: "rtc.example.com", HostedZoneID: "Z0123456789",
		CertificateARN: "arn:aws:acm:eu-west-1:123456789012:certificate/0a"}
	small := settings.Default()
	small.Stack, small.Zones, small.Concurrency, small.DeletionPolicy, small.IPv6 = "small", 1, 10, settings.Keep, false
	small.Alarms, small.Dashboard, small.Metrics, small.Tracing = false, false, false, false
	for name, s := range map[string]settings.Settings{"full": full, "small": small} {
		if err := s.Validate(); err != nil {
			return err
		}
		out := filepath.Join(folder, name)
		app := awscdk.NewApp(&awscdk.AppProps{Outdir: &out, AnalyticsReporting: jsii.Bool(false), TreeMetadata: jsii.Bool(false)})
		awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Reports: jsii.Bool(true)}), nil)
		if _, err := deploy(app, s, p); err != nil {
			return err
		}
		app.Synth(nil)
		text, err := os.ReadFile(filepath.Join(out, "spillway-"+name+".template.json"))
		if err != nil {
			return err
		}
		var t struct{ Resources map[string]resource }
		if err := json.Unmarshal(text, &t); err != nil {
			return err
		}
		built[name] = synthesised{t.Resources, out}
	}
	return nil
}

// text is a template's value as JSON, for looking into.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// list is a value that may stand alone or in a list.
func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func statements(r resource) []map[string]any {
	var out []map[string]any
	for _, p := range list(r.Properties["Policies"]) {
		if p, ok := p.(map[string]any); ok {
			for _, s := range p["PolicyDocument"].(map[string]any)["Statement"].([]any) {
				out = append(out, s.(map[string]any))
			}
		}
	}
	return out
}

func TestNobodyMayDoEverything(t *testing.T) {
	// What AWS cannot narrow to a resource.
	unnarrowed := []string{"ec2:DescribeInstances", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
	for name, s := range built {
		for id, r := range s.of("AWS::IAM::Role") {
			for _, st := range statements(r) {
				for _, a := range list(st["Action"]) {
					if strings.Contains(a.(string), "*") {
						t.Errorf("%s: %s may %s", name, id, a)
					}
					if slices.Contains(list(st["Resource"]), any("*")) && !slices.Contains(unnarrowed, a.(string)) {
						t.Errorf("%s: %s may %s on everything", name, id, a)
					}
				}
			}
		}
		if len(s.of("AWS::IAM::Policy"))+len(s.of("AWS::IAM::ManagedPolicy")) > 0 {
			t.Errorf("%s: there are policies that these tests do not look at", name)
		}
	}
}

func TestNodesAreLaunchedSafely(t *testing.T) {
	for name, s := range built {
		templates := s.of("AWS::EC2::LaunchTemplate")
		if len(templates) != 1 {
			t.Fatalf("%s: %d launch templates", name, len(templates))
		}
		for _, r := range templates {
			data := r.Properties["LaunchTemplateData"].(map[string]any)
			m := data["MetadataOptions"].(map[string]any)
			if m["HttpTokens"] != "required" || m["HttpPutResponseHopLimit"] != 1.0 {
				t.Errorf("%s: metadata %v", name, m)
			}
			ebs := list(data["BlockDeviceMappings"])[0].(map[string]any)["Ebs"].(map[string]any)
			if ebs["Encrypted"] != true || ebs["DeleteOnTermination"] != true {
				t.Errorf("%s: root volume %v", name, ebs)
			}
			if data["InstanceInitiatedShutdownBehavior"] != "terminate" || data["KeyName"] != nil {
				t.Errorf("%s: %v", name, data)
			}
			for _, kind := range []string{"instance", "volume"} {
				if !strings.Contains(text(data["TagSpecifications"]), `"ResourceType":"`+kind+`","Tags":[`) {
					t.Errorf("%s: %ss have no tags", name, kind)
				}
			}
		}
	}
}

func TestEveryRouteReachesAFunction(t *testing.T) {
	for name, s := range built {
		routes := map[string]bool{}
		for id, r := range s.of("AWS::ApiGatewayV2::Route") {
			key := r.Properties["RouteKey"].(string)
			routes[key] = true
			target := text(r.Properties["Target"])
			var integration *resource
			for iid, i := range s.of("AWS::ApiGatewayV2::Integration") {
				if strings.Contains(target, `"`+iid+`"`) {
					integration = &i
				}
			}
			switch {
			case integration == nil:
				t.Errorf("%s: %s leads nowhere: %s", name, id, target)
			case key == "$connect":
				if r.Properties["AuthorizationType"] != "CUSTOM" || r.Properties["AuthorizerId"] == nil {
					t.Errorf("%s: $connect lets in anybody", name)
				}
			case !slices.ContainsFunc(functionNames, func(f string) bool {
				return strings.Contains(text(integration.Properties["IntegrationUri"]), `"`+title(f)+`Function"`)
			}):
				t.Errorf("%s: %s reaches no function: %v", name, key, integration.Properties)
			}
		}
		wanted := []string{"$connect", "$disconnect", "$default", httpRoute}
		for _, from := range []events.Border{events.FromClient, events.FromNode} {
			for action := range events.Messages(from) {
				wanted = append(wanted, string(action))
			}
		}
		for _, key := range wanted {
			if !routes[key] {
				t.Errorf("%s: there is no route %s", name, key)
			}
		}
		for id, r := range s.of("AWS::Lambda::Permission") {
			if r.Properties["SourceArn"] == nil {
				t.Errorf("%s: %s lets a whole service call a function", name, id)
			}
		}
	}
}

func TestFunctions(t *testing.T) {
	for name, s := range built {
		functions := s.of("AWS::Lambda::Function")
		if len(functions) != len(functionNames)+1 {
			t.Errorf("%s: %d functions", name, len(functions))
		}
		roles := map[string]string{}
		for id, f := range functions {
			role := text(f.Properties["Role"])
			if other, taken := roles[role]; taken {
				t.Errorf("%s: %s and %s share a role", name, id, other)
			}
			roles[role] = id
			if f.Properties["VpcConfig"] != nil || text(f.Properties["Architectures"]) != `["arm64"]` || f.Properties["LoggingConfig"] == nil {
				t.Errorf("%s: %s is %v", name, id, f.Properties)
			}
		}
		for id, l := range s.of("AWS::Logs::LogGroup") {
			if l.Properties["RetentionInDays"] != 14.0 || l.DeletionPolicy != "Delete" {
				t.Errorf("%s: %s is kept %v days, then %s", name, id, l.Properties["RetentionInDays"], l.DeletionPolicy)
			}
		}
	}
	reserved := func(stack string) any {
		return built[stack].resources["NodeFunction"].Properties["ReservedConcurrentExecutions"]
	}
	if reserved("full") != 200.0 || reserved("small") != nil {
		t.Errorf("reserved for heartbeats: %v, and %v of a quota of 10", reserved("full"), reserved("small"))
	}
}

func TestTheTableGoesOrStaysAsTheSettingSays(t *testing.T) {
	for name, want := range map[string]string{"full": "Delete", "small": "Retain"} {
		for _, r := range built[name].of("AWS::DynamoDB::Table") {
			if r.DeletionPolicy != want || r.Properties["DeletionProtectionEnabled"] != (want == "Retain") {
				t.Errorf("%s: policy %s, protection %v", name, r.DeletionPolicy, r.Properties["DeletionProtectionEnabled"])
			}
			if !strings.Contains(text(r.Properties), `"PointInTimeRecoveryEnabled":true`) || r.Properties["BillingMode"] != "PAY_PER_REQUEST" {
				t.Errorf("%s: %v", name, r.Properties)
			}
		}
	}
}

// exceptions are what cdk-nag finds and we keep: rule → reason.
var exceptions = map[string]string{
	"AwsSolutions-IAM5":  "TestNobodyMayDoEverything knows what AWS cannot narrow; other stars are in names that begin with ours, or stand for instances that carry our tag",
	"AwsSolutions-EC23":  "people are anywhere: TestOnlyMediaComesIn says which ports are open",
	"AwsSolutions-VPC7":  "flow logs of media would cost more than the media's instances; functions and nodes log what they decide",
	"AwsSolutions-APIG1": "access logs of WebSocket APIs need a role that is one for the whole account, which another stack may use; each route logs what it does",
	"AwsSolutions-APIG4": "a WebSocket API authorises $connect, whose identity every later message carries; the HTTP API's function checks its keys itself, because keys must be several and changeable without a deployment",
	"AwsSolutions-SQS3":  "it is the queue of dead letters itself",
}

func TestNagFindsNothingNew(t *testing.T) {
	used := map[string]bool{}
	for name, s := range built {
		reports, err := filepath.Glob(filepath.Join(s.folder, "*NagReport.csv"))
		if err != nil || len(reports) == 0 {
			t.Fatalf("%s: cdk-nag wrote no report: %v", name, err)
		}
		for _, report := range reports {
			f, err := os.Open(report)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := csv.NewReader(f).ReadAll()
			_ = f.Close()
			if err != nil || len(rows) < 10 {
				t.Fatalf("%s: %d rows, %v", report, len(rows), err)
			}
			for _, row := range rows[1:] {
				if row[2] == "Compliant" {
					continue
				}
				used[row[0]] = true
				if exceptions[row[0]] == "" {
					t.Errorf("%s: %v", name, row)
				}
			}
		}
	}
	for rule := range exceptions {
		if !used[rule] {
			t.Errorf("cdk-nag finds no %s any more: its exception can go", rule)
		}
	}
}
