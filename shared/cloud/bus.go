package cloud

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/step"
)

// Bus puts events on an EventBridge bus. It is safe for concurrent use.
type Bus struct {
	api  *eventbridge.Client
	name string
}

var _ step.Bus = (*Bus)(nil)

// NewBus returns the bus of that name.
func NewBus(cfg aws.Config, name string) *Bus { return &Bus{eventbridge.NewFromConfig(cfg), name} }

// RequestCapacity implements [step.Bus].
func (b *Bus) RequestCapacity(ctx context.Context, region, reason string) error {
	detail, err := json.Marshal(events.CapacityRequested{Header: events.Head(events.ActionCapacity), Region: region, Reason: reason})
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	out, err := b.api.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: &b.name, Source: aws.String(events.BusSource), DetailType: aws.String(events.DetailCapacity), Detail: aws.String(string(detail))}}})
	if err != nil {
		return fmt.Errorf("put event: %w", err)
	}
	for _, e := range out.Entries {
		if e.ErrorCode != nil {
			return fmt.Errorf("put event: %s", *e.ErrorCode)
		}
	}
	return nil
}
