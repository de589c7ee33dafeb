package main

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

const defaultPort = 7882

// config is what a node must know to start.
type config struct {
	url        string
	node       string
	token      string
	addresses  []netip.Addr
	port       int
	pipePort   int
	tcpPort    int // negative is none
	level      slog.Level
	host       string
	withoutGCM bool
	metrics    string        // where to serve metrics; empty is nowhere
	sockets    time.Duration // how long the gateway lets a socket live; 0 is as API Gateway
	boot       string        // what the machine took before, in seconds since its start
}

// readConfig reads the environment and, if named, a file. Its error names every
// variable that is missing or wrong.
func readConfig(file string, env func(string) string) (config, error) {
	values := map[string]string{}
	if file != "" {
		var err error
		if values, err = readFile(file); err != nil {
			return config{}, err
		}
	}
	get := func(key string) string {
		if v := env(key); v != "" {
			return v
		}
		return values[key]
	}
	c := config{url: get("SPILLWAY_URL"), node: get("SPILLWAY_NODE"), token: get("SPILLWAY_TOKEN"), host: get("SPILLWAY_HOST"), boot: get("SPILLWAY_BOOT_STAGES")}
	var problems []error
	for _, key := range []string{"SPILLWAY_URL", "SPILLWAY_NODE", "SPILLWAY_TOKEN", "SPILLWAY_MEDIA_IP"} {
		if get(key) == "" {
			problems = append(problems, fmt.Errorf("%s is not set", key))
		}
	}
	for _, s := range strings.FieldsFunc(get("SPILLWAY_MEDIA_IP"), func(r rune) bool { return r == ',' || r == ' ' }) {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			problems = append(problems, fmt.Errorf("SPILLWAY_MEDIA_IP: %q is no IP address", s))
			continue
		}
		c.addresses = append(c.addresses, ip.Unmap())
	}
	problems = append(problems, c.readPorts(get)...)
	if s := get("SPILLWAY_SOCKET_LIFE"); s != "" {
		var err error
		if c.sockets, err = time.ParseDuration(s); err != nil || c.sockets < time.Second {
			problems = append(problems, fmt.Errorf("SPILLWAY_SOCKET_LIFE: %q is no duration of at least a second, such as 2h", s))
		}
	}
	if s := get("SPILLWAY_METRICS"); s != "" {
		address, err := metricsAddress(s)
		if err != nil {
			problems = append(problems, fmt.Errorf("SPILLWAY_METRICS: %w", err))
		}
		c.metrics = address
	}
	switch s := get("SPILLWAY_SRTP"); s {
	case "", "gcm":
	case "cm":
		c.withoutGCM = true
	default:
		problems = append(problems, fmt.Errorf("SPILLWAY_SRTP: %q is not gcm or cm", s))
	}
	if s := get("SPILLWAY_LOG"); s != "" {
		if err := c.level.UnmarshalText([]byte(s)); err != nil {
			problems = append(problems, fmt.Errorf("SPILLWAY_LOG: %q is not debug, info or warn", s))
		}
	}
	return c, errors.Join(problems...)
}

// readPorts reads where to listen, and returns what is wrong with it.
func (c *config) readPorts(get func(string) string) (problems []error) {
	read := func(key string, otherwise int) int {
		s := get(key)
		if s == "" {
			return otherwise
		}
		port, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %q is no port", key, s))
		}
		return int(port)
	}
	c.port = read("SPILLWAY_MEDIA_PORT", defaultPort)
	next := c.port + 1
	if c.port == 0 {
		next = 0
	}
	c.pipePort = read("SPILLWAY_PIPE_PORT", next)
	if c.tcpPort = -1; get("SPILLWAY_TCP_PORT") != "off" {
		c.tcpPort = read("SPILLWAY_TCP_PORT", c.port)
	}
	return problems
}

// metricsAddress reads where to serve metrics: a port of this machine alone, or an
// address with a port.
func metricsAddress(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = "127.0.0.1", s
	}
	if host == "" {
		return "", fmt.Errorf("%q names no address: a port alone means this machine, 0.0.0.0 all the world", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("%q is no port, and no address with a port", s)
	}
	return net.JoinHostPort(host, port), nil
}

// readFile reads KEY=VALUE lines. Empty lines and those that begin with # are
// skipped; a value may stand in single or double quotes.
func readFile(name string) (map[string]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	values := map[string]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("read configuration: %s line %d has no =", name, n)
		}
		key = strings.TrimPrefix(strings.TrimSpace(key), "export ")
		value = strings.TrimSpace(value)
		if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			value = value[1 : len(value)-1]
		}
		values[key] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return values, nil
}

// announce makes the addresses of a hello. Where none is public, as on one
// machine, they are all that there is and count as public.
func announce(ips []netip.Addr, port int) []events.Address {
	private := func(ip netip.Addr) bool { return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() }
	var addresses []events.Address
	public := false
	for _, ip := range ips {
		scope := events.PublicScope
		if private(ip) {
			scope = events.PrivateScope
		}
		public = public || scope == events.PublicScope
		addresses = append(addresses, events.Address{IP: ip.String(), Port: port, Scope: scope})
	}
	if !public {
		for i := range addresses {
			addresses[i].Scope = events.PublicScope
		}
	}
	return addresses
}
