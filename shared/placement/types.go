package placement

import (
	"fmt"
	"slices"

	"github.com/spillway-sfu/spillway/shared/room"
)

// InstanceType is a kind of EC2 instance and what it carries as a node.
type InstanceType struct {
	Name string
	// Capacity is sustained load: egress to the internet as EC2 allows it for
	// long, and packets per second as one core forwards them with head room.
	Capacity room.Load
}

// Sustained internet egress is 5 Gbps at most below 32 vCPUs; smaller sizes have
// a baseline in proportion. The packet rate assumes 150,000 a second and core
// at half load.
var types = []InstanceType{
	{"c7g.medium", room.Load{Kbps: 468_000, PPS: 75_000}},
	{"c7g.large", room.Load{Kbps: 937_000, PPS: 150_000}},
	{"c7g.xlarge", room.Load{Kbps: 1_876_000, PPS: 300_000}},
	{"c7g.2xlarge", room.Load{Kbps: 3_750_000, PPS: 600_000}},
	{"c6gn.2xlarge", room.Load{Kbps: 5_000_000, PPS: 600_000}},
	{"c8gn.2xlarge", room.Load{Kbps: 5_000_000, PPS: 600_000}},
}

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
