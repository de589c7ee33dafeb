package cloud_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/spillway-sfu/spillway/infra/local/moto"
	"github.com/spillway-sfu/spillway/shared/cloud"
	"github.com/spillway-sfu/spillway/shared/step"
	"github.com/spillway-sfu/spillway/shared/step/steptest"
)

// TestStoreOnMoto holds the store against the contract on DynamoDB's API as moto
// speaks it. Expressions and conditions are moto's; that writes are isolated is
// the front's, which passes requests one at a time, because moto's are not. So
// the racers show here that the expressions decide rightly in any order, not how
// the store fares against DynamoDB's own conflicts between transactions.
func TestStoreOnMoto(t *testing.T) {
	db := startTable(t, "contract")
	steptest.Run(t, func(*testing.T) step.Store { return cloud.NewStore(db, "contract") })
}

// startTable starts a moto of the test's own and makes the table in it.
func startTable(t *testing.T, table string) *dynamodb.Client {
	t.Helper()
	server, err := moto.Start(t.Context(), moto.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	db := dynamodb.NewFromConfig(motoConfig(server.URL))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := db.CreateTable(ctx, cloud.CreateTableInput(table)); err != nil {
		t.Fatal(err)
	}
	return db
}

func motoConfig(url string) aws.Config {
	return aws.Config{Region: "us-east-1", BaseEndpoint: &url,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		})}
}
