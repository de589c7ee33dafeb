// Package price is the one table of what AWS charges and of what its machines
// carry. Launches are chosen by it, budgets are kept by it, ledgers and
// estimates are added up from it.
//
// The prices are those of us-east-1 in November 2026, without tax, discounts or
// free tiers other than those named here. Other regions charge up to half as
// much again. The package is pure.
package price

import (
	"fmt"
	"slices"

	"github.com/spillway-sfu/spillway/shared/room"
)

// Micros are millionths of a US dollar.
type Micros int64

// Dollars converts to US dollars.
func (m Micros) Dollars() float64 { return float64(m) / 1e6 }

// String gives dollars and cents, with more digits where cents would hide them.
func (m Micros) String() string {
	if m%10_000 == 0 {
		return fmt.Sprintf("$%.2f", m.Dollars())
	}
	return fmt.Sprintf("$%.4f", m.Dollars())
}

// InstanceType is a kind of EC2 instance and what it carries as a node.
type InstanceType struct {
	Name string
	VCPU int
	// Hour is the price of an hour on demand, SpotHour what the same hour typically
	// costs as a spot instance: about a third, but AWS sets it anew all the time.
	Hour     Micros
	SpotHour Micros
	// Capacity is sustained load: egress to the internet as EC2 allows it for
	// long, and packets per second as its cores forward them with head room.
	Capacity room.Load
}

// packetsPerCore assumes that a core forwards 150,000 packets a second and is
// loaded by half.
const packetsPerCore = 75_000

// Sustained internet egress is 5 Gbps at most below 32 vCPUs; smaller sizes have
// a baseline in proportion.
var types = []InstanceType{
	arm("c7g.medium", 1, 36_300, 468_000),
	arm("c7g.large", 2, 72_500, 937_000),
	arm("c7g.xlarge", 4, 145_000, 1_876_000),
	arm("c7g.2xlarge", 8, 290_000, 3_750_000),
	arm("c6gn.2xlarge", 8, 346_000, 5_000_000),
	arm("c8gn.2xlarge", 8, 474_000, 5_000_000),
}

func arm(name string, cores int, hour Micros, kbps int64) InstanceType {
	return InstanceType{Name: name, VCPU: cores, Hour: hour, SpotHour: hour / 3,
		Capacity: room.Load{Kbps: kbps, PPS: packetsPerCore * int64(cores)}}
}

// Types returns all instance types, the smaller first.
func Types() []InstanceType { return slices.Clone(types) }

// Type returns the instance type of that name, or an error that lists those
// there are.
func Type(name string) (InstanceType, error) {
	i := slices.IndexFunc(types, func(t InstanceType) bool { return t.Name == name })
	if i < 0 {
		var names []string
		for _, t := range types {
			names = append(names, t.Name)
		}
		return InstanceType{}, fmt.Errorf("instance type %q is not one of %q", name, names)
	}
	return types[i], nil
}

// What else is billed, each with its unit.
const (
	// Per hour.
	PublicAddressHour Micros = 5_000 // a public IPv4 address in use
	// Per million.
	SocketMessages    Micros = 1_000_000 // WebSocket API, each begun 32 KB
	SocketMinutes     Micros = 250_000   // WebSocket API, minutes of connections
	HTTPRequests      Micros = 1_000_000 // HTTP API
	LambdaRequests    Micros = 200_000
	TableWrites       Micros = 625_000   // DynamoDB on demand, write units
	TableReads        Micros = 125_000   // DynamoDB on demand, read units
	BusEvents         Micros = 1_000_000 // EventBridge, custom events
	LambdaMilliGBSecs Micros = 13_333    // Lambda on arm64, thousandths of a GB-second
	// Per month.
	CustomMetricMonth Micros = 300_000
	StorageGBMonth    Micros = 250_000 // DynamoDB; the first 25 GB are free
	VolumeGBMonth     Micros = 80_000  // EBS gp3
	// Per GB.
	BetweenZonesGB Micros = 10_000 // each way
)

// tier is a part of a month's egress at one price; the last has no end.
type tier struct {
	GB    float64
	PerGB Micros
}

var egress = []tier{{100, 0}, {10_140, 90_000}, {40_960, 85_000}, {102_400, 70_000}, {0, 50_000}}

// Egress is what sending that many GB to the internet within a month costs:
// 100 GB are free, the price falls from $0.09 to $0.05.
func Egress(gb float64) Micros {
	var sum float64
	for _, t := range egress {
		part := gb
		if t.GB > 0 {
			part = min(gb, t.GB)
		}
		sum += part * float64(t.PerGB)
		if gb -= part; gb <= 0 {
			break
		}
	}
	return Micros(sum + 0.5)
}
