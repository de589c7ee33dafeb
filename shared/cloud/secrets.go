package cloud

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
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

// MakeSecrets makes those of the parameters that do not exist, as SecureStrings;
// what exists stays as it is.
func MakeSecrets(ctx context.Context, cfg aws.Config, values, tags map[string]string) error {
	api := ssm.NewFromConfig(cfg)
	var list []types.Tag
	for k, v := range tags {
		list = append(list, types.Tag{Key: &k, Value: &v})
	}
	for name, value := range values {
		_, err := api.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeSecureString, Tags: list})
		if err != nil && codeOf(err) != "ParameterAlreadyExists" {
			return fmt.Errorf("make secret %s: %w", name, err)
		}
	}
	return nil
}

// DeleteSecrets removes a deployment's secrets; those that are gone are no
// error.
func DeleteSecrets(ctx context.Context, cfg aws.Config, stack string) error {
	_, err := ssm.NewFromConfig(cfg).DeleteParameters(ctx, &ssm.DeleteParametersInput{
		Names: []string{JoinKeysParameter(stack), APIKeysParameter(stack), RootParameter(stack)}})
	if err != nil {
		return fmt.Errorf("delete secrets: %w", err)
	}
	return nil
}
