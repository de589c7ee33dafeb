// Command sfu-node is one node of Spillway: it dials the control plane, takes
// the participants that this hands to it, and forwards their media. It exits
// with 0 when it was told to stop, by a signal or by the control plane.
//
// It is configured by the environment, or by a file of KEY=VALUE lines named by
// -config; the environment wins.
//
//	SPILLWAY_URL         WebSocket address of the control plane
//	SPILLWAY_NODE        the node's id
//	SPILLWAY_TOKEN       the node's token
//	SPILLWAY_MEDIA_IP    addresses to announce, separated by commas
//	SPILLWAY_MEDIA_PORT  UDP port for media; 7882, 0 takes any free one
//	SPILLWAY_TCP_PORT    TCP port for media of those whose networks block UDP; the number
//	                     of the UDP port, 0 takes any free one, off takes none
//	SPILLWAY_PIPE_PORT   TCP and UDP port for other nodes; the one after that for media,
//	                     0 takes any free one
//	SPILLWAY_SRTP        how media is sealed: gcm (default) prefers AES-GCM and takes AES-CM
//	                     from who has nothing better; cm takes AES-CM alone
//	SPILLWAY_HOST        address of the instance metadata service, which tells when
//	                     the machine will be taken away; unset asks nobody
//	SPILLWAY_SOCKET_LIFE how long the gateway lets a socket live, such as 2h, which it is
//	                     unset; sockets are replaced before
//	SPILLWAY_METRICS     where to serve metrics for Prometheus at /metrics: a port, on this
//	                     machine alone, or an address with a port; unset serves none.
//	                     What goes over pipes is at /flows, for this machine alone
//	SPILLWAY_LOG         debug, info (default) or warn
//	SPILLWAY_BOOT_STAGES what the machine did before, for the log
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof" // for -pprof
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/agent"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

// rotateBefore is how long before the end of its life a socket is replaced, if that is
// not most of it.
const rotateBefore = 10 * time.Minute

// collectAt is the share of its live memory by which a node grows before garbage is
// collected, in percent. Packets make none, so collecting early costs little, and
// memory is what bounds the people of a small machine.
const collectAt = 20

// stopWithin bounds an orderly end; EC2 takes the machine away soon after.
const stopWithin = 3 * time.Second

func main() {
	file := flag.String("config", "", "`file` of KEY=VALUE lines; the environment wins")
	profile := flag.String("cpuprofile", "", "`file` to record a CPU profile to, for go tool pprof")
	profiles := flag.String("pprof", "", "`address`, such as localhost:6060, to serve profiles at; whoever reaches it can read them")
	flag.Parse()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	cfg, err := readConfig(*file, os.Getenv)
	if err == nil && *profiles != "" {
		err = serveProfiles(*profiles)
	}
	if err == nil {
		err = record(*profile, func() error { return run(ctx, cfg) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sfu-node:", err)
		os.Exit(1)
	}
}

// record runs what is to be profiled. Without a name it only runs it.
func record(name string, what func() error) error {
	if name == "" {
		return what()
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("record profile: %w", err)
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return fmt.Errorf("record profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	return what()
}

// serveProfiles serves what net/http/pprof has, until the process ends.
func serveProfiles(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serve profiles: %w", err)
	}
	server := &http.Server{Handler: http.DefaultServeMux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return nil
}

// run is the node's life. It returns an error when the node could not begin.
func run(ctx context.Context, cfg config) error {
	journal := &agent.Journal{}
	log := slog.New(slog.NewMultiHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: cfg.level}), journal.Handler())).With("node", cfg.node)

	var control *agent.Agent
	media, err := sfu.New(sfu.Config{
		Node: cfg.node, Addresses: cfg.addresses, Port: cfg.port, TCP: cfg.tcpPort >= 0, TCPPort: max(cfg.tcpPort, 0), Pipes: true, PipePort: cfg.pipePort, WithoutGCM: cfg.withoutGCM, Log: log,
		Left:     func(d sfu.Departure) { control.Left(d) },
		Moderate: func(m events.ModerateFor) { control.Moderate(m) },
	})
	if err != nil {
		return err
	}
	stopMetrics, err := serveMetrics(cfg.metrics, media, log)
	if err != nil {
		_ = media.Close(ctx, events.CodeNodeGone)
		return err
	}
	defer stopMetrics()
	control = agent.New(agent.Config{
		URL: cfg.url, Token: cfg.token, Node: cfg.node, Boot: rand.Text(),
		Addresses: announce(cfg.addresses, media.Port()), Fingerprint: media.Fingerprint(), PipePort: media.PipePort(), Build: build(),
		Host: cfg.host, Rotate: cfg.sockets - min(cfg.sockets/2, rotateBefore), Log: log, Journal: journal,
	}, media)
	log.Log(ctx, agent.LevelNotice, "node starts", "media", cfg.addresses, "port", media.Port(), "tcpPort", media.TCPPort(), "pipePort", media.PipePort(), "build", build(), "bootStages", cfg.boot)

	ended := make(chan struct{})
	go logCounters(log, media, ended)
	go giveBack(media, ended)
	why := control.Run(ctx)
	close(ended)
	log.Log(context.Background(), agent.LevelNotice, "node stops", "why", why, "counters", media.Counters())

	finish, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := media.Close(finish, events.CodeNodeGone); err != nil {
		log.Warn("media did not end in time", "error", err)
	}
	if errors.Is(why, agent.ErrFenced) {
		cancel() // nobody may be told anything in the name of a past life
	}
	control.Close(finish)
	return nil
}

// logCounters writes what the node carries once a minute.
func logCounters(log *slog.Logger, media *sfu.SFU, ended <-chan struct{}) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			r := media.Report()
			log.Info("carrying", "people", r.People, "rooms", len(r.Members), "counters", media.Counters())
		}
	}
}

const (
	// giveBackAfter is how long nobody has come when the memory that a crowd took to
	// come in goes back to the system: it is some 100 KB for each of them.
	giveBackAfter = time.Second
	// Fewer than crowd are worth looking for it every giveBackEvery only.
	crowd         = 10
	giveBackEvery = 10 * time.Second
)

// giveBack gives it back.
func giveBack(media *sfu.SFU, ended <-chan struct{}) {
	tick := time.NewTicker(giveBackAfter)
	defer tick.Stop()
	var seen, done int64
	var last time.Time
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		joins := media.Counters().Joins.Load()
		if joins == seen && joins != done && (joins-done >= crowd || time.Since(last) >= giveBackEvery) {
			done, last = joins, time.Now()
			debug.FreeOSMemory()
		}
		seen = joins
	}
}

// build names the version of this program.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return info.Main.Version
}
