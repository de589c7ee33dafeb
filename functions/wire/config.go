// Package wire is what the five functions share: their configuration, the world
// that a step runs in, and how a socket's message becomes a call and an error a
// reply.
package wire

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/spillway-sfu/spillway/shared/cloud"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
	"github.com/spillway-sfu/spillway/shared/token"
)

// Config is a function's configuration, from its environment.
type Config struct {
	Stack       string
	Table       string
	Bus         string
	CallbackURL string
	SocketURL   string
	Template    string
	Launching
	// Subnets are those to launch nodes in, by zone.
	Subnets  map[string]string
	Settings control.Settings
	AWS      aws.Config
	Log      *slog.Logger
}

// Defaults of the settings that a deployment need not give.
const (
	defaultType     = "c7g.large"
	defaultIdle     = 5 * time.Minute
	defaultBoot     = 25 * time.Second
	defaultMaxNodes = 20
	defaultReplace  = 60
	// A room of 10,000 viewers is on 75 nodes of the default type.
	defaultNodesPerRoom = 100
	defaultLogLevel     = slog.LevelInfo
)

// Load reads the environment. It names the first variable that is wrong.
func Load(function string) (Config, error) {
	level := defaultLogLevel
	if v := os.Getenv("SPILLWAY_LOG"); v != "" {
		if err := level.UnmarshalText([]byte(v)); err != nil {
			return Config{}, fmt.Errorf("SPILLWAY_LOG: %q is not debug, info, warn or error", v)
		}
	}
	c := Config{
		Stack: os.Getenv("SPILLWAY_STACK"), Table: os.Getenv("SPILLWAY_TABLE"), Bus: os.Getenv("SPILLWAY_BUS"),
		CallbackURL: os.Getenv("SPILLWAY_CALLBACK_URL"), SocketURL: os.Getenv("SPILLWAY_SOCKET_URL"),
		Template: os.Getenv("SPILLWAY_LAUNCH_TEMPLATE"),
		Log:      slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: level})).With("function", function),
	}
	var err error
	if c.Settings, err = settings(); err != nil {
		return Config{}, err
	}
	if c.Settings.Zones, c.Subnets, err = zones(); err != nil {
		return Config{}, err
	}
	if c.AWS, err = cloud.FromEnvironment(); err != nil {
		return Config{}, err
	}
	if c.Launching, err = launching(); err != nil {
		return Config{}, err
	}
	c.Settings.Region = c.AWS.Region
	return c, nil
}

func settings() (control.Settings, error) {
	s := control.Settings{Profile: room.Default(), InstanceType: env("SPILLWAY_INSTANCE_TYPE", defaultType)}
	typ, err := price.Type(s.InstanceType)
	if err != nil {
		return s, fmt.Errorf("SPILLWAY_INSTANCE_TYPE: %w", err)
	}
	s.NodeCapacity = typ.Capacity
	seats, err := number("SPILLWAY_NODE_SEATS", 0, 0, 10_000)
	if err != nil {
		return s, err
	}
	if s.NodesPerRoom, err = number("SPILLWAY_NODES_PER_ROOM", defaultNodesPerRoom, 1, 1000); err != nil {
		return s, err
	}
	if seats > 0 {
		s.Profile.MaxOvercommit = 100 // so many seats, however little they use
		if s.NodesPerRoom > 1 {       // so many seats, and room for the pipes of each
			s.PipeReserve = s.Profile.PipeLoad().Times(min(s.NodesPerRoom-1, room.Fanout+1))
		}
		s.NodeCapacity = s.Profile.SeatLoad(room.Publisher).Times(seats).Plus(s.PipeReserve)
	}
	if s.MaxNodes, err = number("SPILLWAY_MAX_NODES", defaultMaxNodes, 1, 10_000); err != nil {
		return s, err
	}
	idle, err := duration("SPILLWAY_IDLE_AFTER", defaultIdle)
	if err != nil {
		return s, err
	}
	cents, err := number("SPILLWAY_MAX_CENTS_PER_HOUR", 0, 0, 100_000_000)
	if err != nil {
		return s, err
	}
	s.MaxHour = price.Micros(cents) * 10_000
	if s.SpareSeats, err = number("SPILLWAY_SPARE_SEATS", 0, 0, 10_000); err != nil {
		return s, err
	}
	s.Thrift = control.Thrift(env("SPILLWAY_CONSOLIDATE", string(control.Cautious)))
	if !slices.Contains(control.Thrifts, s.Thrift) {
		return s, fmt.Errorf("SPILLWAY_CONSOLIDATE: %q is not one of %q", s.Thrift, control.Thrifts)
	}
	if s.Offers, err = offers(s, seats); err != nil {
		return s, err
	}
	drain, err := duration("SPILLWAY_DRAIN_WITHIN", control.DefaultDrain)
	if err != nil {
		return s, err
	}
	s.Version = os.Getenv("SPILLWAY_NODE_VERSION")
	if s.ReplacePerMinute, err = number("SPILLWAY_REPLACE_PER_MINUTE", defaultReplace, 0, 100_000); err != nil {
		return s, err
	}
	boot, err := duration("SPILLWAY_BOOT_TIME", defaultBoot)
	s.DrainWithinMs = drain.Milliseconds()
	s.IdleAfterMs, s.BootMs = idle.Milliseconds(), boot.Milliseconds()
	return s, err
}

// offers reads the types of nodes that may be launched, separated by commas. A
// number of seats, set for trying things out, is every type's capacity.
func offers(s control.Settings, seats int) ([]placement.Offer, error) {
	var out []placement.Offer
	for name := range strings.SplitSeq(env("SPILLWAY_INSTANCE_TYPES", s.InstanceType), ",") {
		typ, err := price.Type(strings.TrimSpace(name))
		if err != nil {
			return nil, fmt.Errorf("SPILLWAY_INSTANCE_TYPES: %w", err)
		}
		if seats > 0 {
			typ.Capacity = s.NodeCapacity
		}
		out = append(out, placement.Offer{Type: typ.Name, Capacity: typ.Capacity, Hour: typ.Hour})
	}
	return out, nil
}

// zones reads the zones to launch in, each with its subnet where it has one:
// "eu-north-1a=subnet-1,eu-north-1b=subnet-2".
func zones() (names []string, subnets map[string]string, err error) {
	v := os.Getenv("SPILLWAY_ZONES")
	if v == "" {
		return nil, nil, nil
	}
	subnets = map[string]string{}
	for part := range strings.SplitSeq(v, ",") {
		zone, subnet, _ := strings.Cut(strings.TrimSpace(part), "=")
		if zone == "" || slices.Contains(names, zone) {
			return nil, nil, fmt.Errorf("SPILLWAY_ZONES: %q is not a list such as eu-north-1a=subnet-1,eu-north-1b=subnet-2 that names each zone once", v)
		}
		names = append(names, zone)
		if subnet != "" {
			subnets[zone] = subnet
		}
	}
	return names, subnets, nil
}

func env(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

func number(name string, fallback, least, most int) (int, error) {
	v := os.Getenv(name)
	if v == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s: %q is not a number from %d to %d", name, v, least, most)
	}
	return n, nil
}

func duration(name string, fallback time.Duration) (time.Duration, error) {
	v := os.Getenv(name)
	if v == "" {
		return fallback, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s: %q is not a duration such as 90s or 5m", name, v)
	}
	return d, nil
}

// World is the world a step of this function runs in, without instances.
func (c Config) World(root token.Root) *step.World {
	return &step.World{
		Store:   cloud.NewStore(dynamodb.NewFromConfig(c.AWS), c.Table),
		Push:    cloud.NewPush(c.AWS, c.CallbackURL),
		Bus:     cloud.NewBus(c.AWS, c.Bus),
		Tickets: root,
		NodeToken: func(node room.NodeID, now time.Time) (string, error) {
			return root.MintNode(string(node), now, cloud.NodeTokenLasts)
		},
		Settings: c.Settings,
		Log:      c.Log,
		Now:      time.Now,
		Spread:   rand.Uint64,
		Pause: func(ctx context.Context, d time.Duration) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d):
				return nil
			}
		},
	}
}
