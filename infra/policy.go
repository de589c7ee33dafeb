package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// statement is one of a policy document.
type statement = map[string]any

// allow lets actions be done to resources.
func allow(actions []string, resources ...*string) statement {
	return statement{"Effect": "Allow", "Action": actions, "Resource": resources}
}

// allowIf lets actions be done to resources under a condition.
func allowIf(condition map[string]any, actions []string, resources ...*string) statement {
	s := allow(actions, resources...)
	s["Condition"] = condition
	return s
}

func document(statements ...statement) map[string]any {
	return map[string]any{"Version": "2012-10-17", "Statement": statements}
}

// role makes a role that one service may assume, with what it may do.
func (d *stack) role(id, service string, condition map[string]any, statements ...statement) awsiam.CfnRole {
	trust := statement{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": map[string]any{"Service": service}}
	if condition != nil {
		trust["Condition"] = condition
	}
	props := &awsiam.CfnRoleProps{AssumeRolePolicyDocument: document(trust), Description: jsii.String("Spillway " + d.settings.Stack + ": " + id)}
	if len(statements) > 0 {
		props.Policies = []*awsiam.CfnRole_PolicyProperty{{PolicyName: jsii.String("least"), PolicyDocument: document(statements...)}}
	}
	return awsiam.NewCfnRole(d.scope, jsii.String(id+"Role"), props)
}
