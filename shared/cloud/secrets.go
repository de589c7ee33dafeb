package cloud

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// Names of a deployment's secrets, all SecureStrings in SSM.
const (
	secretJoinKeys = "join-keys" // JSON object: key id → secret
	secretAPIKeys  = "api-keys"  // JSON array of keys
	secretRoot     = "root"      // base64 of 32 random bytes
)

// JoinKeysParameter names the parameter with the keys that sign join tokens.
func JoinKeysParameter(stack string) string { return "/spillway/" + stack + "/" + secretJoinKeys }

// APIKeysParameter names the parameter with the keys of the HTTP API.
func APIKeysParameter(stack string) string { return "/spillway/" + stack + "/" + secretAPIKeys }

// RootParameter names the parameter from which node tokens, tickets and
// participant keys are derived.
func RootParameter(stack string) string { return "/spillway/" + stack + "/" + secretRoot }

// LoadSecrets reads parameters in one request: name → value.
func LoadSecrets(ctx context.Context, cfg aws.Config, parameters ...string) (map[string]string, error) {
	out, err := ssm.NewFromConfig(cfg).GetParameters(ctx, &ssm.GetParametersInput{Names: parameters, WithDecryption: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	if len(out.InvalidParameters) > 0 {
		return nil, fmt.Errorf("read secrets: there is no %q", out.InvalidParameters)
	}
	values := map[string]string{}
	for _, p := range out.Parameters {
		values[aws.ToString(p.Name)] = aws.ToString(p.Value)
	}
	return values, nil
}
