package settings

import (
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"

	"github.com/spillway-sfu/spillway/shared/price"
)

var (
	stackShape  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,19}$`)
	regionShape = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
	domainShape = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	certShape   = regexp.MustCompile(`^arn:aws[a-z-]*:acm:([a-z0-9-]+):[0-9]{12}:certificate/[0-9a-f-]+$`)
	zoneShape   = regexp.MustCompile(`^Z[A-Z0-9]{5,31}$`)

	logDays   = []int{1, 3, 5, 7, 14, 30, 60, 90, 180, 365}
	logLevels = []string{"debug", "info", "warn", "error"}
	thrifts   = []string{"off", "cautious", "eager"}
	policies  = []string{Delete, Keep}
)

// Validate returns the first thing that is wrong, as a sentence that names the
// setting.
func (s Settings) Validate() error {
	for _, err := range []error{
		shape("stack", s.Stack, stackShape, "1 to 20 of a to z, 0 to 9 and dashes, beginning with a letter"),
		s.regions(),
		within("zones", s.Zones, 1, 6),
		s.types(),
		within("maxNodes", s.MaxNodes, 1, 1000),
		within("nodesPerRoom", s.NodesPerRoom, 1, 1000),
		between("budgetPerHour", s.BudgetPerHour, 0, 100_000),
		within("idleMinutes", s.IdleMinutes, 1, 1440),
		within("drainMinutes", s.DrainMinutes, 1, 1440),
		within("replacePeoplePerMinute", s.ReplacePeople, 0, 100_000),
		within("spareSeats", s.SpareSeats, 0, 10_000),
		oneOf("consolidate", s.Consolidate, thrifts),
		within("spotPercent", s.SpotPercent, 0, 100),
		within("mediaPort", s.MediaPort, 1024, 65535),
		s.domain(),
		s.email(),
		oneOf("deletionPolicy", s.DeletionPolicy, policies),
		oneOf("logDays", s.LogDays, logDays),
		oneOf("logLevel", s.LogLevel, logLevels),
		within("concurrency", s.Concurrency, 10, 100_000),
		within("connectsPerSecond", s.Connects, 1, 10_000),
		within("messagesPerSecond", s.Messages, 10, 100_000),
		s.tags(),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s Settings) regions() error {
	for i, r := range s.Regions {
		if err := shape("regions", r, regionShape, "a Region such as eu-central-1"); err != nil {
			return err
		}
		if slices.Contains(s.Regions[:i], r) {
			return fmt.Errorf("regions names %s twice", r)
		}
		if r == "us-west-1" && s.Zones > 2 {
			return fmt.Errorf("zones is %d, and us-west-1 has 2", s.Zones)
		}
	}
	return nil
}

func (s Settings) types() error {
	if len(s.InstanceTypes) == 0 || len(s.InstanceTypes) > 8 {
		return fmt.Errorf("instanceTypes has %d entries, expected 1 to 8", len(s.InstanceTypes))
	}
	for i, t := range s.InstanceTypes {
		if _, err := price.Type(t); err != nil {
			return fmt.Errorf("instanceTypes: %w", err)
		}
		if slices.Contains(s.InstanceTypes[:i], t) {
			return fmt.Errorf("instanceTypes names %s twice", t)
		}
	}
	return nil
}

func (s Settings) domain() error {
	d := s.Domain
	if d.Name == "" {
		if d != (Domain{}) {
			return fmt.Errorf("domain.certificateArn and domain.hostedZoneId need a domain.name")
		}
		return nil
	}
	if err := shape("domain.name", d.Name, domainShape, "a name such as rtc.example.com, in small letters"); err != nil {
		return err
	}
	if err := shape("domain.certificateArn", d.CertificateARN, certShape, "an ACM certificate's ARN"); err != nil {
		return err
	}
	if region := certShape.FindStringSubmatch(d.CertificateARN)[1]; len(s.Regions) > 1 || len(s.Regions) == 1 && s.Regions[0] != region {
		return fmt.Errorf("domain.certificateArn is of %s, and a name leads to one Region: regions must be [%q]", region, region)
	}
	if d.HostedZoneID != "" {
		return shape("domain.hostedZoneId", d.HostedZoneID, zoneShape, "a Route 53 zone's id such as Z0123456789ABCDEFGHIJ")
	}
	return nil
}

func (s Settings) email() error {
	if s.AlarmEmail == "" {
		return nil
	}
	if a, err := mail.ParseAddress(s.AlarmEmail); err != nil || a.Address != s.AlarmEmail {
		return fmt.Errorf("alarmEmail is %.64q, expected an address such as ops@example.com", s.AlarmEmail)
	}
	if !s.Alarms {
		return fmt.Errorf("alarmEmail is set, and alarms is false: nothing would be sent")
	}
	return nil
}

func (s Settings) tags() error {
	if len(s.Tags) > 30 {
		return fmt.Errorf("tags has %d entries, at most 30 are taken", len(s.Tags))
	}
	for name, value := range s.Tags {
		if name == "" || len(name) > 128 || len(value) > 256 {
			return fmt.Errorf("tags: %.32q is not a name of 1 to 128 with a value of at most 256 characters", name)
		}
		for _, reserved := range []string{"aws:", "spillway:"} {
			if strings.HasPrefix(strings.ToLower(name), reserved) {
				return fmt.Errorf("tags: %q begins with %s, which is reserved", name, reserved)
			}
		}
	}
	return nil
}

func shape(name, value string, re *regexp.Regexp, expected string) error {
	if !re.MatchString(value) {
		return fmt.Errorf("%s is %.64q, expected %s", name, value, expected)
	}
	return nil
}

func within(name string, value, least, most int) error {
	if value < least || value > most {
		return fmt.Errorf("%s is %d, expected %d to %d", name, value, least, most)
	}
	return nil
}

func between(name string, value, least, most float64) error {
	if !(value >= least && value <= most) {
		return fmt.Errorf("%s is %v, expected %v to %v", name, value, least, most)
	}
	return nil
}

func oneOf[T comparable](name string, value T, allowed []T) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("%s is %#v, expected one of %v", name, value, allowed)
	}
	return nil
}
