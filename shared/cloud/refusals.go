package cloud

import "github.com/spillway-sfu/spillway/shared/fleet"

// refusals are EC2's definite refusals of RunInstances ("Error codes for the
// Amazon EC2 API"): no instance was made and none will be by the same request.
// Every other answer, and none at all, leaves that open.
var refusals = map[string]fleet.Refusal{
	"InsufficientInstanceCapacity":         fleet.PoolEmpty,
	"InsufficientHostCapacity":             fleet.PoolEmpty,
	"InsufficientReservedInstanceCapacity": fleet.PoolEmpty,
	"InsufficientCapacity":                 fleet.PoolEmpty,
	"InsufficientFreeAddressesInSubnet":    fleet.PoolEmpty,
	"SpotMaxPriceTooLow":                   fleet.PoolEmpty,
	"Unsupported":                          fleet.PoolEmpty, // the zone does not have the type
	"UnsupportedOperation":                 fleet.PoolEmpty,

	"InstanceLimitExceeded":        fleet.Quota,
	"VcpuLimitExceeded":            fleet.Quota,
	"MaxSpotInstanceCountExceeded": fleet.Quota,

	"RequestLimitExceeded": fleet.Throttled,
	"Throttling":           fleet.Throttled,
	"ThrottlingException":  fleet.Throttled,

	"InvalidParameterValue":                       fleet.Impossible,
	"InvalidParameterCombination":                 fleet.Impossible,
	"InvalidParameter":                            fleet.Impossible,
	"MissingParameter":                            fleet.Impossible,
	"InvalidLaunchTemplateName.NotFoundException": fleet.Impossible,
	"InvalidLaunchTemplateId.NotFound":            fleet.Impossible,
	"InvalidLaunchTemplateId.VersionNotFound":     fleet.Impossible,
	"InvalidAMIID.NotFound":                       fleet.Impossible,
	"InvalidAMIID.Unavailable":                    fleet.Impossible,
	"InvalidSubnetID.NotFound":                    fleet.Impossible,
	"InvalidGroup.NotFound":                       fleet.Impossible,
	"UnauthorizedOperation":                       fleet.Impossible,
	"AuthFailure":                                 fleet.Impossible,
	"OptInRequired":                               fleet.Impossible,
	"PendingVerification":                         fleet.Impossible,
	"Blocked":                                     fleet.Impossible,
	"IdempotentParameterMismatch":                 fleet.Impossible,
}

// refused returns the class of a definite refusal with EC2's own code; the
// class is empty for anything else.
func refused(err error) (fleet.Refusal, string) {
	code := codeOf(err)
	return refusals[code], code
}
