package cloud

import (
	"context"
	"encoding/base64"
	"encoding/json"
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

// JoinKeysParameter, APIKeysParameter and RootParameter name the parameters of a
// stack.
func JoinKeysParameter(stack string) string { return "/spillway/" + stack + "/" + secretJoinKeys }

// APIKeysParameter names the parameter with the keys of the HTTP API.
func APIKeysParameter(stack string) string { return "/spillway/" + stack + "/" + secretAPIKeys }

// RootParameter names the parameter from which node tokens, tickets and
// participant keys are derived.
func RootParameter(stack string) string { return "/spillway/" + stack + "/" + secretRoot }

// Secrets are a deployment's secrets; those that were not asked for are empty.
type Secrets struct {
	JoinKeys map[string]string
	APIKeys  []string
	Root     []byte
}

// LoadSecrets reads the named parameters of a stack in one request.
func LoadSecrets(ctx context.Context, cfg aws.Config, stack string, parameters ...string) (Secrets, error) {
	out, err := ssm.NewFromConfig(cfg).GetParameters(ctx, &ssm.GetParametersInput{Names: parameters, WithDecryption: aws.Bool(true)})
	if err != nil {
		return Secrets{}, fmt.Errorf("read secrets: %w", err)
	}
	if len(out.InvalidParameters) > 0 {
		return Secrets{}, fmt.Errorf("read secrets: there is no %q", out.InvalidParameters)
	}
	var s Secrets
	for _, p := range out.Parameters {
		var err error
		switch *p.Name {
		case JoinKeysParameter(stack):
			err = json.Unmarshal([]byte(*p.Value), &s.JoinKeys)
		case APIKeysParameter(stack):
			err = json.Unmarshal([]byte(*p.Value), &s.APIKeys)
		case RootParameter(stack):
			if s.Root, err = base64.StdEncoding.DecodeString(*p.Value); err == nil && len(s.Root) != 32 {
				err = fmt.Errorf("%d bytes, expected 32", len(s.Root))
			}
		}
		if err != nil {
			return Secrets{}, fmt.Errorf("secret %s is malformed: %w", *p.Name, err)
		}
	}
	return s, nil
}
