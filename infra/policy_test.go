package main

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// needs says what a call of the SDK must be allowed. A call that is not here
// fails the test: whoever adds one says what it needs.
var needs = map[string][]string{
	"dynamodb.GetItem": {"dynamodb:GetItem"}, "dynamodb.BatchGetItem": {"dynamodb:BatchGetItem"}, "dynamodb.Query": {"dynamodb:Query"},
	"dynamodb.PutItem": {"dynamodb:PutItem"}, "dynamodb.UpdateItem": {"dynamodb:UpdateItem"}, "dynamodb.DeleteItem": {"dynamodb:DeleteItem"},
	// A transaction is allowed by what is in it; ours have all four.
	"dynamodb.TransactWriteItems":              {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"},
	"ssm.GetParameters":                        {"ssm:GetParameters"},
	"ssm.PutParameter":                         {"ssm:PutParameter", "ssm:AddTagsToResource"}, // with tags
	"ssm.DeleteParameters":                     {"ssm:DeleteParameters"},
	"eventbridge.PutEvents":                    {"events:PutEvents"},
	"apigatewaymanagementapi.PostToConnection": {"execute-api:ManageConnections"},
	"apigatewaymanagementapi.DeleteConnection": {"execute-api:ManageConnections"},
	"apigatewaymanagementapi.GetConnection":    {"execute-api:ManageConnections"},
	"ec2.DescribeInstances":                    {"ec2:DescribeInstances"},
	"ec2.TerminateInstances":                   {"ec2:TerminateInstances"},
	"ec2.RunInstances":                         {"ec2:RunInstances", "ec2:CreateTags", "iam:PassRole", "iam:CreateServiceLinkedRole"}, // tags, profile, spot
	"dynamodb.DescribeEndpoints":               nil,                                                                                   // linked by the SDK, called with endpoint discovery on: it is off
}

// given to a function by its surroundings, whatever its code calls: logs, traces,
// and the fleet's failed invocations.
var given = []string{"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords", "sqs:SendMessage"}

var operation = regexp.MustCompile(`aws-sdk-go-v2/service/(\w+)\.\(\*Client\)\.([A-Z]\w*)$`)

// calls returns the operations that the linker has left in a function's program:
// those that some way leads to.
func calls(t *testing.T, pkg string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", "build", "-tags", "lambda.norpc", "-ldflags", "-w", "-o", file, pkg)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %s", pkg, out)
	}
	program, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	symbols, err := program.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, s := range symbols {
		if m := operation.FindStringSubmatch(s.Name); m != nil && m[2] != "Options" {
			found = append(found, m[1]+"."+m[2])
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestFunctionsMayDoWhatTheirCodeDoesAndNoMore(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("linux")
	}
	for _, name := range append([]string{secretsMaker}, functionNames...) {
		pkg := "./functions/" + name
		if name == secretsMaker {
			pkg = "./infra/secrets"
		}
		want := map[string]string{}
		found := calls(t, pkg)
		if len(found) == 0 {
			t.Errorf("%s calls nothing: the test does not see what it should", name)
		}
		for _, op := range found {
			actions, known := needs[op]
			if !known {
				t.Errorf("%s calls %s: say in needs what that must be allowed", name, op)
			}
			for _, a := range actions {
				want[a] = op
			}
		}
		may := map[string]bool{}
		for _, s := range statements(built["full"].resources[title(name)+"Role"]) {
			for _, a := range list(s["Action"]) {
				may[a.(string)] = true
			}
		}
		for a, op := range want {
			if !may[a] {
				t.Errorf("%s calls %s and may not %s", name, op, a)
			}
		}
		for a := range may {
			if want[a] == "" && !slices.Contains(given, a) {
				t.Errorf("%s may %s, which its code never does (%s)", name, a, strings.Join(found, " "))
			}
		}
	}
}

func TestCloudFormationsLinterFindsNothing(t *testing.T) {
	if err := exec.Command("cfn-lint", "--version").Run(); err != nil {
		t.Skip("cfn-lint is missing")
	}
	for name, s := range built {
		templates, err := filepath.Glob(filepath.Join(s.folder, "*.template.json"))
		if err != nil || len(templates) != 1 {
			t.Fatalf("%s: %v, %v", name, templates, err)
		}
		if out, err := exec.Command("cfn-lint", "-r", "eu-west-1", "-t", templates[0]).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}
