// Command secrets is the function that CloudFormation calls when a deployment is
// made, changed or removed: it makes those of the deployment's secrets that do
// not exist yet, as SecureStrings in SSM.
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spillway-sfu/spillway/shared/cloud"
)

func main() {
	cfg, err := cloud.FromEnvironment()
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stdout, nil)).Error("cannot start", "error", err)
		os.Exit(1)
	}
	lambda.Start(cfn.LambdaWrap(maker{cfg}.serve))
}

type maker struct{ aws aws.Config }

// serve answers one request of CloudFormation. Nothing it returns is secret:
// CloudFormation shows it.
func (m maker) serve(ctx context.Context, e cfn.Event) (id string, data map[string]any, err error) {
	stack, _ := e.ResourceProperties["Stack"].(string)
	if stack == "" {
		return e.PhysicalResourceID, nil, fmt.Errorf("the property Stack is missing")
	}
	id = "spillway-" + stack + "-secrets"
	if e.RequestType == cfn.RequestDelete {
		if e.ResourceProperties["Keep"] == "true" {
			return id, nil, nil
		}
		return id, nil, cloud.DeleteSecrets(ctx, m.aws, stack)
	}
	secrets, err := fresh(stack)
	if err != nil {
		return id, nil, err
	}
	tags := map[string]string{}
	if given, ok := e.ResourceProperties["Tags"].(map[string]any); ok {
		for name, v := range given {
			tags[name], _ = v.(string)
		}
	}
	return id, nil, cloud.MakeSecrets(ctx, m.aws, secrets, tags)
}

// fresh makes new secrets, by parameter.
func fresh(stack string) (map[string]string, error) {
	joinKeys, err := json.Marshal(map[string]string{"key1": rand.Text() + rand.Text()})
	if err != nil {
		return nil, err
	}
	apiKeys, err := json.Marshal([]string{rand.Text() + rand.Text()})
	if err != nil {
		return nil, err
	}
	root := make([]byte, 32)
	_, _ = rand.Read(root) // never fails
	return map[string]string{
		cloud.JoinKeysParameter(stack): string(joinKeys), cloud.APIKeysParameter(stack): string(apiKeys),
		cloud.RootParameter(stack): base64.StdEncoding.EncodeToString(root),
	}, nil
}
