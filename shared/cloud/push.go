package cloud

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"

	"github.com/spillway-sfu/spillway/shared/step"
)

// Push posts to connections of an API Gateway WebSocket API. It is safe for
// concurrent use.
type Push struct{ api *api.Client }

var _ step.Push = (*Push)(nil)

// NewPush returns a Push that calls the management API at callbackURL, for
// example https://ID.execute-api.REGION.amazonaws.com/STAGE.
func NewPush(cfg aws.Config, callbackURL string) *Push {
	return &Push{api.NewFromConfig(cfg, func(o *api.Options) { o.BaseEndpoint = &callbackURL })}
}

// Post implements [step.Push].
func (p *Push) Post(ctx context.Context, connection string, data []byte) error {
	_, err := p.api.PostToConnection(ctx, &api.PostToConnectionInput{ConnectionId: &connection, Data: data})
	return pushError(err)
}

// Close implements [step.Push].
func (p *Push) Close(ctx context.Context, connection string) error {
	_, err := p.api.DeleteConnection(ctx, &api.DeleteConnectionInput{ConnectionId: &connection})
	return pushError(err)
}
