package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/jsii-runtime-go"

	"github.com/spillway-sfu/spillway/infra/settings"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

// addTable declares the table as the store describes it, so that the two cannot
// differ. Its name is CloudFormation's choice: one that was kept must not stand
// in the way of a new deployment of that name. It is encrypted with a key that
// DynamoDB owns, which costs nothing.
func (d *stack) addTable() {
	in := cloud.CreateTableInput("")
	var attributes []*awsdynamodb.CfnTable_AttributeDefinitionProperty
	for _, a := range in.AttributeDefinitions {
		attributes = append(attributes, &awsdynamodb.CfnTable_AttributeDefinitionProperty{
			AttributeName: a.AttributeName, AttributeType: jsii.String(string(a.AttributeType))})
	}
	var indexes []*awsdynamodb.CfnTable_GlobalSecondaryIndexProperty
	for _, i := range in.GlobalSecondaryIndexes {
		indexes = append(indexes, &awsdynamodb.CfnTable_GlobalSecondaryIndexProperty{
			IndexName: i.IndexName, KeySchema: keySchema(i.KeySchema),
			Projection: &awsdynamodb.CfnTable_ProjectionProperty{ProjectionType: jsii.String(string(i.Projection.ProjectionType))}})
	}
	table := awsdynamodb.NewCfnTable(d.scope, jsii.String("Table"), &awsdynamodb.CfnTableProps{
		BillingMode: jsii.String(string(in.BillingMode)), AttributeDefinitions: attributes,
		KeySchema: keySchema(in.KeySchema), GlobalSecondaryIndexes: indexes,
		TimeToLiveSpecification: &awsdynamodb.CfnTable_TimeToLiveSpecificationProperty{
			AttributeName: jsii.String(cloud.TimeToLiveAttribute), Enabled: true},
		PointInTimeRecoverySpecification: &awsdynamodb.CfnTable_PointInTimeRecoverySpecificationProperty{PointInTimeRecoveryEnabled: true},
		DeletionProtectionEnabled:        d.settings.DeletionPolicy == settings.Keep,
	})
	d.removal(table)
	d.tableName, d.tableArn = table.Ref(), table.AttrArn()
}

func keySchema(keys []types.KeySchemaElement) []*awsdynamodb.CfnTable_KeySchemaProperty {
	var out []*awsdynamodb.CfnTable_KeySchemaProperty
	for _, k := range keys {
		out = append(out, &awsdynamodb.CfnTable_KeySchemaProperty{AttributeName: k.AttributeName, KeyType: jsii.String(string(k.KeyType))})
	}
	return out
}
