package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestOnlyMediaComesIn(t *testing.T) {
	for name, s := range built {
		for id, g := range s.of("AWS::EC2::SecurityGroup") {
			var open []string
			for _, in := range list(g.Properties["SecurityGroupIngress"]) {
				in := in.(map[string]any)
				open = append(open, fmt.Sprintf("%v%v %v %v-%v", in["CidrIp"], in["CidrIpv6"], in["IpProtocol"], in["FromPort"], in["ToPort"]))
			}
			want := []string{"0.0.0.0/0<nil> udp 7882-7882", "0.0.0.0/0<nil> tcp 443-443"}
			if hasIPv6(s) {
				want = append(want, "<nil>::/0 udp 7882-7882", "<nil>::/0 tcp 443-443")
			}
			if !slices.Equal(open, want) {
				t.Errorf("%s: %s lets in %v, want %v", name, id, open, want)
			}
		}
		for id, r := range s.of("AWS::EC2::SecurityGroupIngress") {
			if r.Properties["SourceSecurityGroupId"] == nil || r.Properties["CidrIp"] != nil || r.Properties["CidrIpv6"] != nil {
				t.Errorf("%s: %s lets in others than nodes", name, id)
			}
		}
		for _, kind := range []string{"AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::VPCEndpoint", "AWS::EC2::EgressOnlyInternetGateway"} {
			if n := len(s.of(kind)); n > 0 {
				t.Errorf("%s: %d of %s, which are of no use here or billed by the hour", name, n, kind)
			}
		}
	}
}

func hasIPv6(s synthesised) bool { return len(s.of("AWS::EC2::VPCCidrBlock")) > 0 }

// Nodes have addresses of both families, a way to the internet and back in both, and
// subnets that are made once the VPC has its block.
func TestTheNetworkHasBothFamilies(t *testing.T) {
	if !hasIPv6(built["full"]) || hasIPv6(built["small"]) {
		t.Fatal("the setting decides nothing")
	}
	for name, s := range built {
		var routes, out []string
		for _, r := range s.of("AWS::EC2::Route") {
			routes = append(routes, fmt.Sprintf("%v%v", r.Properties["DestinationCidrBlock"], r.Properties["DestinationIpv6CidrBlock"]))
			if r.Properties["GatewayId"] == nil {
				t.Errorf("%s: a route leads past the internet gateway: %s", name, text(r.Properties))
			}
		}
		for _, g := range s.of("AWS::EC2::SecurityGroup") {
			for _, e := range list(g.Properties["SecurityGroupEgress"]) {
				e := e.(map[string]any)
				out = append(out, fmt.Sprintf("%v%v", e["CidrIp"], e["CidrIpv6"]))
			}
		}
		want := []string{"0.0.0.0/0<nil>"}
		if hasIPv6(s) {
			want = []string{"0.0.0.0/0<nil>", "<nil>::/0"}
		}
		slices.Sort(routes)
		slices.Sort(out)
		if !slices.Equal(routes, want) || !slices.Equal(out, want) {
			t.Errorf("%s: routes to %v, egress to %v, want %v", name, routes, out, want)
		}
		blocks := map[string]bool{}
		for id, r := range s.of("AWS::EC2::Subnet") {
			block := text(r.Properties["Ipv6CidrBlock"])
			if six := r.Properties["AssignIpv6AddressOnCreation"] == true; six != hasIPv6(s) || six != (r.Properties["Ipv6CidrBlock"] != nil) {
				t.Errorf("%s: %s has the block %s, and gives addresses of it: %v", name, id, block, six)
			}
			if hasIPv6(s) && (blocks[block] || !strings.Contains(block, `"64"`) || !strings.Contains(text(r.DependsOn), "IPv6")) {
				t.Errorf("%s: %s has the block %s, as another one, or before the VPC has one (%s)", name, id, block, text(r.DependsOn))
			}
			blocks[block] = true
		}
	}
}
