package moto_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spillway-sfu/spillway/infra/local/moto"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

func TestTheBusDelivers(t *testing.T) {
	server, err := moto.Start(t.Context(), moto.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		})}
	queue, err := moto.SetUp(t.Context(), cfg, "t", moto.Secrets{JoinKeys: map[string]string{"k": "s"}, APIKeys: []string{"a"}, Root: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	values, err := cloud.LoadSecrets(t.Context(), cfg, cloud.JoinKeysParameter("t"), cloud.RootParameter("t"))
	if err != nil || values[cloud.JoinKeysParameter("t")] != `{"k":"s"}` {
		t.Errorf("secrets %v, %v", values, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var calls atomic.Int32
	got := make(chan []byte, 10)
	done := make(chan error, 1)
	go func() {
		done <- moto.Deliver(ctx, cfg, queue, func(_ context.Context, event []byte) error {
			got <- event
			if calls.Add(1) == 1 {
				return errors.New("the first delivery fails")
			}
			return nil
		})
	}()
	began := time.Now()
	if err := cloud.NewBus(cfg, moto.EventBus("t")).RequestCapacity(ctx, "us-east-1", "somebody waits"); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		select {
		case event := <-got:
			if i == 0 {
				t.Logf("delivered after %v", time.Since(began))
			}
			var e struct {
				Source string         `json:"source"`
				Type   string         `json:"detail-type"`
				Detail map[string]any `json:"detail"`
			}
			if err := json.Unmarshal(event, &e); err != nil || e.Source != "spillway" || e.Type != "CapacityRequested" || e.Detail["reason"] != "somebody waits" {
				t.Errorf("event %s, %v", event, err)
			}
		case <-ctx.Done():
			t.Fatalf("%d of 2 deliveries", i)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
