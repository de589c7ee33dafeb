package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// options are what `make dev` can be told by its environment.
type options struct {
	port      int // 0: any free one
	idleAfter time.Duration
	nodeSeats int
	// nodesPerRoom is how many nodes one room may be on.
	nodesPerRoom int
	maxNodes     int
	bootDelay    time.Duration
	sweepEvery   time.Duration
	socketLife   time.Duration // how long the gateway lets a connection live
	logDir       string        // empty: one that names the port
	readyFile    string
	buildDir     string
	demoDir      string
	nodeLog      string
	nodeSRTP     string // gcm or cm
	mediaIP      string // where browsers reach nodes; several with commas between

	keyID, keySecret, apiKey string
	root                     []byte
}

// stack is the name of the local stack. Two of them side by side have nothing in
// common, moto included, so it need not be unique.
const stack = "dev"

// readOptions reads the environment; its error names the variable that is
// wrong.
func readOptions() (options, error) {
	o := options{
		logDir: os.Getenv("LOG_DIR"), readyFile: os.Getenv("READY_FILE"),
		buildDir: env("BUILD_DIR", "build/local"), demoDir: env("DEMO_DIR", "sdk/dist"), nodeLog: env("NODE_LOG", "info"), nodeSRTP: env("NODE_SRTP", "gcm"),
		keyID: env("JOIN_KEY_ID", "devkey"), mediaIP: env("MEDIA_IP", mediaAddresses()),
	}
	for _, err := range []error{
		integer("PORT", 8080, 0, 65535, &o.port),
		integer("NODE_SEATS", 0, 0, 10_000, &o.nodeSeats),
		integer("NODES_PER_ROOM", 100, 1, 1000, &o.nodesPerRoom),
		integer("MAX_NODES", 20, 1, 1000, &o.maxNodes),
		duration("IDLE_AFTER", 2*time.Minute, time.Second, &o.idleAfter),
		duration("BOOT_DELAY", 0, 0, &o.bootDelay),
		duration("SOCKET_LIFE", 2*time.Hour, time.Second, &o.socketLife),
		duration("SWEEP_EVERY", 5*time.Second, 100*time.Millisecond, &o.sweepEvery),
	} {
		if err != nil {
			return options{}, err
		}
	}
	o.root = make([]byte, 32)
	_, _ = rand.Read(o.root) // never fails
	o.keySecret = env("JOIN_KEY_SECRET", random())
	o.apiKey = env("API_KEY", random())
	if len(o.keySecret) < 32 {
		return options{}, fmt.Errorf("JOIN_KEY_SECRET has %d characters, at least 32 are needed", len(o.keySecret))
	}
	return o, nil
}

// mediaAddresses are this machine's own address, first, and the one by which it
// reaches others, if it does: Firefox sends nothing to the former.
func mediaAddresses() string {
	const own = "127.0.0.1"
	conn, err := net.Dial("udp4", "198.51.100.1:9") // looks up the route and sends nothing
	if err != nil {
		return own
	}
	defer func() { _ = conn.Close() }()
	a, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok || a.IP.IsLoopback() {
		return own
	}
	return own + "," + a.IP.String()
}

func random() string {
	b := make([]byte, 18)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func integer(name string, fallback, least, most int, into *int) error {
	*into = fallback
	v := os.Getenv(name)
	if v == "" {
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return fmt.Errorf("%s is %q, expected a number from %d to %d", name, v, least, most)
	}
	*into = n
	return nil
}

func duration(name string, fallback, least time.Duration, into *time.Duration) error {
	*into = fallback
	v := os.Getenv(name)
	if v == "" {
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < least {
		return fmt.Errorf("%s is %q, expected a duration of at least %v, such as 90s or 2m", name, v, least)
	}
	*into = d
	return nil
}

func env(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}
