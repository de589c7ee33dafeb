package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func env(pairs ...string) func(string) string {
	return func(key string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == key {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestReadConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.env")
	text := "# a node\n\nSPILLWAY_URL=ws://file/ws\nexport SPILLWAY_NODE=\"i-1\"\nSPILLWAY_TOKEN='a=b'\nSPILLWAY_MEDIA_IP=10.0.0.1\nSPILLWAY_LOG=debug\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readConfig(file, env("SPILLWAY_MEDIA_IP", "127.0.0.1, ::1", "SPILLWAY_MEDIA_PORT", "0"))
	if err != nil {
		t.Fatal(err)
	}
	want := config{url: "ws://file/ws", node: "i-1", token: "a=b", port: 0, pipePort: 0, level: -4,
		addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, expected %+v", got, want)
	}
	if got, err := readConfig(file, env()); err != nil || got.port != defaultPort || got.tcpPort != defaultPort {
		t.Errorf("ports %d and %d, %v", got.port, got.tcpPort, err)
	}
	for s, without := range map[string]bool{"": false, "gcm": false, "cm": true} {
		if got, err := readConfig(file, env("SPILLWAY_SRTP", s)); err != nil || got.withoutGCM != without {
			t.Errorf("SPILLWAY_SRTP=%s is without GCM: %v, %v", s, got.withoutGCM, err)
		}
	}
	if got, err := readConfig(file, env("SPILLWAY_SOCKET_LIFE", "90s")); err != nil || got.sockets != 90*time.Second {
		t.Errorf("sockets live %v, %v", got.sockets, err)
	}
	for s, port := range map[string]int{"443": 443, "0": 0, "off": -1} {
		if got, err := readConfig(file, env("SPILLWAY_TCP_PORT", s)); err != nil || got.tcpPort != port {
			t.Errorf("SPILLWAY_TCP_PORT=%s is port %d, %v", s, got.tcpPort, err)
		}
	}
}

func TestReadConfigRefuses(t *testing.T) {
	good := []string{"SPILLWAY_URL", "ws://x", "SPILLWAY_NODE", "n", "SPILLWAY_TOKEN", "t", "SPILLWAY_MEDIA_IP", "127.0.0.1"}
	for _, c := range []struct {
		name string
		with []string
		want string
	}{
		{"nothing set", nil, "SPILLWAY_URL is not set"},
		{"no address", good[:6], "SPILLWAY_MEDIA_IP is not set"},
		{"bad address", append([]string{"SPILLWAY_MEDIA_IP", "here"}, good...), "SPILLWAY_MEDIA_IP"},
		{"bad port", append([]string{"SPILLWAY_MEDIA_PORT", "70000"}, good...), "SPILLWAY_MEDIA_PORT"},
		{"bad TCP port", append([]string{"SPILLWAY_TCP_PORT", "on"}, good...), "SPILLWAY_TCP_PORT"},
		{"bad metrics", append([]string{"SPILLWAY_METRICS", "here"}, good...), "SPILLWAY_METRICS"},
		{"metrics nowhere", append([]string{"SPILLWAY_METRICS", ":9100"}, good...), "SPILLWAY_METRICS"},
		{"bad SRTP", append([]string{"SPILLWAY_SRTP", "aes"}, good...), "SPILLWAY_SRTP"},
		{"bad life of sockets", append([]string{"SPILLWAY_SOCKET_LIFE", "2"}, good...), "SPILLWAY_SOCKET_LIFE"},
		{"sockets that live too short", append([]string{"SPILLWAY_SOCKET_LIFE", "5ms"}, good...), "SPILLWAY_SOCKET_LIFE"},
		{"bad level", append([]string{"SPILLWAY_LOG", "loud"}, good...), "SPILLWAY_LOG"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := readConfig("", env(c.with...)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, expected one about %s", err, c.want)
			}
		})
	}
	if _, err := readConfig(filepath.Join(t.TempDir(), "none"), env(good...)); err == nil {
		t.Error("a file that is not there is read")
	}
	bad := filepath.Join(t.TempDir(), "bad.env")
	if err := os.WriteFile(bad, []byte("SPILLWAY_URL\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(bad, env(good...)); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a line without =: %v", err)
	}
}

func TestAnnounce(t *testing.T) {
	for _, c := range []struct {
		ips  string
		want string
	}{
		{"203.0.113.5 10.1.2.3", "public private"},
		{"10.1.2.3", "public"}, // the only way there is
		{"127.0.0.1", "public"},
		{"2001:db8::1 fe80::1", "public private"},
	} {
		var ips []netip.Addr
		for _, s := range strings.Fields(c.ips) {
			ips = append(ips, netip.MustParseAddr(s))
		}
		var scopes []string
		for _, a := range announce(ips, 7882) {
			scopes = append(scopes, string(a.Scope))
			if a.Port != 7882 || a.IP == "" {
				t.Errorf("address %+v", a)
			}
		}
		if got := strings.Join(scopes, " "); got != c.want {
			t.Errorf("%s is announced as %s, expected %s", c.ips, got, c.want)
		}
	}
}
