package main

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
)

// stage is the WebSocket API's stage, and part of its address.
const stage = "ws"

// socketRoutes says which function serves which route of the WebSocket API.
// What no route takes is a browser's mistake until somebody says otherwise.
var socketRoutes = []struct{ key, function string }{
	{"join", "participant"}, {"leave", "participant"}, {"renew", "participant"}, {"$default", "participant"}, {"$disconnect", "participant"},
	{"hello", "node"}, {"heartbeat", "node"}, {"answered", "node"}, {"left", "node"}, {"journal", "node"}, {"metrics", "node"}, {"moderate", "node"},
}

// httpRoute is the HTTP API's: the function knows the paths.
const httpRoute = "ANY /v1/{proxy+}"

func (d *stack) addSocketAPI() {
	api := awsapigatewayv2.NewCfnApi(d.scope, jsii.String("SocketApi"), &awsapigatewayv2.CfnApiProps{
		Name: d.name(), ProtocolType: jsii.String("WEBSOCKET"), RouteSelectionExpression: jsii.String("$request.body.action"),
		Description: jsii.String("Joins and leaves of participants, and everything nodes say")})
	d.socketAPI = api.Ref()
}

func (d *stack) addHTTPAPI() {
	api := awsapigatewayv2.NewCfnApi(d.scope, jsii.String("HttpApi"), &awsapigatewayv2.CfnApiProps{
		Name: jsii.String(*d.name() + "-http"), ProtocolType: jsii.String("HTTP"), Description: jsii.String("Rooms and nodes, for backends and operators")})
	d.httpAPI = api.Ref()
}

// socketURL is what browsers and nodes dial.
func (d *stack) socketURL() *string {
	if d.settings.Domain.Name != "" {
		return jsii.String("wss://" + d.settings.Domain.Name)
	}
	return jsii.String(fmt.Sprintf("wss://%s.execute-api.%s.%s/%s", *d.socketAPI, *d.scope.Region(), *d.scope.UrlSuffix(), stage))
}

// callbackURL is where functions post to connections; it has no other name.
func (d *stack) callbackURL() *string {
	return jsii.String(fmt.Sprintf("https://%s.execute-api.%s.%s/%s", *d.socketAPI, *d.scope.Region(), *d.scope.UrlSuffix(), stage))
}

func (d *stack) apiURL() *string {
	if d.settings.Domain.Name != "" {
		return jsii.String("https://api." + d.settings.Domain.Name)
	}
	return jsii.String(fmt.Sprintf("https://%s.execute-api.%s.%s", *d.httpAPI, *d.scope.Region(), *d.scope.UrlSuffix()))
}

// addRoutes leads every route of both APIs to its function.
func (d *stack) addRoutes() {
	last := []awscdk.CfnResource{d.addConnect()}
	targets := map[string]*string{}
	for _, r := range socketRoutes {
		if targets[r.function] == nil {
			targets[r.function] = d.integrate("Socket", d.socketAPI, d.functions[r.function], "1.0")
		}
		last = append(last, awsapigatewayv2.NewCfnRoute(d.scope, jsii.String("Route"+routeID(r.key)), &awsapigatewayv2.CfnRouteProps{
			ApiId: d.socketAPI, RouteKey: jsii.String(r.key), Target: targets[r.function]}))
		d.allowInvoke("Socket"+routeID(r.key), d.functions[r.function], "apigateway.amazonaws.com",
			d.arn("execute-api", "%s/%s/%s", *d.socketAPI, stage, r.key))
	}
	s := awsapigatewayv2.NewCfnStage(d.scope, jsii.String("SocketStage"), &awsapigatewayv2.CfnStageProps{
		ApiId: d.socketAPI, StageName: jsii.String(stage), AutoDeploy: true, Tags: d.tags(),
		DefaultRouteSettings: &awsapigatewayv2.CfnStage_RouteSettingsProperty{
			ThrottlingRateLimit: jsii.Number(d.settings.Messages), ThrottlingBurstLimit: jsii.Number(d.settings.Messages)},
		RouteSettings: map[string]any{"$connect": map[string]any{
			"ThrottlingRateLimit": d.settings.Connects, "ThrottlingBurstLimit": d.settings.Connects}},
	})
	for _, r := range last { // the settings of a route need the route
		s.AddResourceDependency(r, nil)
	}
	d.addHTTPRoutes()
}

// addConnect lets in whom the authorizer lets in. No function is called beside
// it: nothing can be posted to a connection before it is open, so there would be
// nothing to do.
func (d *stack) addConnect() awscdk.CfnResource {
	authorize := d.functions["authorize"]
	authorizer := awsapigatewayv2.NewCfnAuthorizer(d.scope, jsii.String("Authorizer"), &awsapigatewayv2.CfnAuthorizerProps{
		ApiId: d.socketAPI, Name: jsii.String("tokens"), AuthorizerType: jsii.String("REQUEST"),
		IdentitySource: jsii.Strings("route.request.querystring.access_token"), AuthorizerUri: d.invocations(authorize)})
	d.allowInvoke("Authorizer", authorize, "apigateway.amazonaws.com", d.arn("execute-api", "%s/authorizers/%s", *d.socketAPI, *authorizer.Ref()))
	mock := awsapigatewayv2.NewCfnIntegration(d.scope, jsii.String("Welcome"), &awsapigatewayv2.CfnIntegrationProps{
		ApiId: d.socketAPI, IntegrationType: jsii.String("MOCK"), PassthroughBehavior: jsii.String("WHEN_NO_MATCH"),
		RequestTemplates: map[string]any{"$default": `{"statusCode": 200}`}})
	awsapigatewayv2.NewCfnIntegrationResponse(d.scope, jsii.String("WelcomeAnswer"), &awsapigatewayv2.CfnIntegrationResponseProps{
		ApiId: d.socketAPI, IntegrationId: mock.Ref(), IntegrationResponseKey: jsii.String("$default")})
	route := awsapigatewayv2.NewCfnRoute(d.scope, jsii.String("RouteConnect"), &awsapigatewayv2.CfnRouteProps{
		ApiId: d.socketAPI, RouteKey: jsii.String("$connect"), AuthorizationType: jsii.String("CUSTOM"), AuthorizerId: authorizer.Ref(),
		RouteResponseSelectionExpression: jsii.String("$default"), Target: jsii.String("integrations/" + *mock.Ref())})
	awsapigatewayv2.NewCfnRouteResponse(d.scope, jsii.String("RouteConnectAnswer"), &awsapigatewayv2.CfnRouteResponseProps{
		ApiId: d.socketAPI, RouteId: route.Ref(), RouteResponseKey: jsii.String("$default")})
	return route
}

func (d *stack) addHTTPRoutes() {
	rooms := d.functions["rooms"]
	route := awsapigatewayv2.NewCfnRoute(d.scope, jsii.String("HttpRoute"), &awsapigatewayv2.CfnRouteProps{
		ApiId: d.httpAPI, RouteKey: jsii.String(httpRoute), Target: d.integrate("Http", d.httpAPI, rooms, "2.0")})
	d.allowInvoke("Http", rooms, "apigateway.amazonaws.com", d.arn("execute-api", "%s/*/*/v1/{proxy+}", *d.httpAPI))
	log := d.logGroup("HttpAccess", "/spillway/"+d.settings.Stack+"/http")
	s := awsapigatewayv2.NewCfnStage(d.scope, jsii.String("HttpStage"), &awsapigatewayv2.CfnStageProps{
		ApiId: d.httpAPI, StageName: jsii.String("$default"), AutoDeploy: true, Tags: d.tags(),
		DefaultRouteSettings: &awsapigatewayv2.CfnStage_RouteSettingsProperty{ThrottlingRateLimit: jsii.Number(100), ThrottlingBurstLimit: jsii.Number(200)},
		AccessLogSettings: &awsapigatewayv2.CfnStage_AccessLogSettingsProperty{DestinationArn: log.AttrArn(),
			Format: jsii.String(`{"time":"$context.requestTime","ip":"$context.identity.sourceIp","method":"$context.httpMethod","path":"$context.path","status":"$context.status","ms":"$context.responseLatency","request":"$context.requestId"}`)},
	})
	s.AddResourceDependency(route, nil)
}

// integrate makes a function the target of an API's routes.
func (d *stack) integrate(prefix string, api *string, f *function, payload string) *string {
	uri := f.arn
	if payload == "1.0" {
		uri = d.invocations(f)
	}
	i := awsapigatewayv2.NewCfnIntegration(d.scope, jsii.String(prefix+title(f.id)), &awsapigatewayv2.CfnIntegrationProps{
		ApiId: api, IntegrationType: jsii.String("AWS_PROXY"), IntegrationUri: uri, IntegrationMethod: jsii.String("POST"),
		PayloadFormatVersion: &payload, TimeoutInMillis: jsii.Number(29_000)})
	return jsii.String("integrations/" + *i.Ref())
}

// invocations is how API Gateway names a function that it calls.
func (d *stack) invocations(f *function) *string {
	return jsii.String(fmt.Sprintf("arn:%s:apigateway:%s:lambda:path/2015-03-31/functions/%s/invocations", *d.scope.Partition(), *d.scope.Region(), *f.arn))
}

// allowInvoke lets a service call a function in the name of one resource.
func (d *stack) allowInvoke(id string, f *function, service string, source *string) {
	awslambda.NewCfnPermission(d.scope, jsii.String("Allow"+id+"To"+title(f.id)), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: f.arn, Principal: &service, SourceArn: source})
}

// logGroup makes a group of logs that ends with the stack.
func (d *stack) logGroup(id, name string) awslogs.CfnLogGroup {
	g := awslogs.NewCfnLogGroup(d.scope, jsii.String(id+"Log"), &awslogs.CfnLogGroupProps{
		LogGroupName: &name, RetentionInDays: jsii.Number(d.settings.LogDays)})
	g.ApplyRemovalPolicy(awscdk.RemovalPolicy_DESTROY, nil)
	return g
}
