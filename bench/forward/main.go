// Command forward measures what forwarding costs: the CPU time of an SFU for each
// packet that arrives at a subscriber, in its own process on one core, under load
// from another core.
//
// Subscribers are real WebRTC peers until ICE and DTLS are done. Then all but one
// drop RTP in a socket filter that lets STUN, DTLS and RTCP pass, and their
// packets are counted from the socket's drop counter, so that the load generator
// is not what is measured; the one left checks sequence, content and delay. In a
// meeting all read, as what chooses layers must be told when each packet came. Each
// filtered subscriber reports as a browser does: transport-wide feedback 20 times
// a second and a receiver report once a second. Loopback charges the receiver's
// kernel work to the sender too, for every SFU alike.
//
// It writes a table and bench/results.json. Figures drift from run to run on a
// shared machine: compare the SFUs of one run.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// load is one row's traffic.
type load struct {
	publishers, subscribers int
	kind                    traffic
}

// result is one row, as results.json has it.
type result struct {
	SFU         string  `json:"sfu"`
	Publishers  int     `json:"publishers"`
	Subscribers int     `json:"subscribers"`
	SRTP        string  `json:"srtp"`
	Cores       string  `json:"cores"`
	Traffic     traffic `json:"traffic,omitempty"`
	CPU         spread  `json:"us_per_packet"`
	Memory      float64 `json:"kb_per_subscriber"`
	// Loss is of the packets that were asked for; in a meeting it is below 0 where an
	// SFU sends larger layers than those.
	Loss  float64 `json:"loss"`
	Delay delay   `json:"added_latency_ms"`
	// Each is what a subscriber gets. SFUs that send other layers than were asked for
	// do other work for a packet: this tells how much of it.
	Each each `json:"each_subscriber"`
}

// each is what one subscriber gets, a second, and what it asked for.
type each struct {
	Packets float64 `json:"packets"`
	Asked   float64 `json:"asked_packets"`
	// Kbps is of payloads, where subscribers read them: in a meeting.
	Kbps float64 `json:"kbps,omitempty"`
}

// eachBetween is what came between two counts.
func eachBetween(a, b count, subscribers int, span time.Duration) each {
	share := float64(subscribers) * span.Seconds()
	return each{
		Packets: float64(b.arrived-a.arrived) / share, Asked: (b.owed - a.owed) / share,
		Kbps: float64(b.bytes-a.bytes) * 8 / 1000 / share,
	}
}

type spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

type delay struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// goals are those of the project in µs per packet, by publishers × subscribers.
var goals = map[load]string{
	{1, 100, frames}: "≤ 6, then 4", {4, 50, frames}: "≤ 4, then 2.7", {4, 100, frames}: "≤ 3.3, then 2.4", {8, 100, frames}: "≤ 2.5, then 2",
}

// cores are those that the SFU may use; the load is on the second one.
var cores = flag.String("cores", "0", "cores of the SFU, as taskset takes them; those of 0,1 show how it scales, although the load shares one")

func main() {
	if len(os.Args) == 2 && os.Args[1] == plainArgument {
		servePlain()
		return
	}
	rows := flag.String("rows", "1x20,1x50,1x100,4x50,4x100,8x100,16x100,4x50 paced,9x50 gallery,20x20 meeting", "publishers x subscribers, separated by commas, with the traffic: none, paced, gallery or meeting")
	only := flag.String("sfu", "spillway,pion,livekit,janus,galene", "which SFUs to measure")
	profiles := flag.String("srtp", "gcm,cm", "SRTP profiles, for each SFU")
	windows := flag.Int("windows", 5, "windows of two seconds to measure")
	out := flag.String("out", "bench/results.json", "where the figures go")
	record := flag.String("cpuprofile", "", "record Spillway's CPU profile of the last row to this file")
	served := flag.String("pprof", "", "address to serve Spillway's profiles at while a row runs")
	flag.Parse()
	if err := pin(); err != nil {
		fail(err)
	}
	sfus := strings.Split(*only, ",")
	starts := map[string]func() (server, error){}
	for _, sfu := range sfus {
		begin, err := start(sfu, *record, *served)
		if err != nil {
			fmt.Println(err)
			continue
		}
		starts[sfu] = begin
	}
	var results []result
	fmt.Printf("%-9s %-4s %-14s %26s %8s %7s %15s %14s  %s\n", "SFU", "SRTP", "load", "µs/packet min median max", "KB/sub", "loss", "delay p50 p99", "each/s of", "goal (µs)")
	for _, row := range strings.Split(*rows, ",") {
		l, err := parseLoad(row)
		if err != nil {
			fail(err)
		}
		for _, profile := range strings.Split(*profiles, ",") {
			for _, sfu := range sfus {
				if starts[sfu] == nil {
					continue
				}
				r, err := measure(starts[sfu], sfu, profile, l, *windows)
				if err != nil {
					fmt.Printf("%-9s %-4s %-12s %v\n", sfu, profile, row, err)
					continue
				}
				results = append(results, r)
				print(r)
			}
		}
	}
	text, err := json.MarshalIndent(results, "", "  ")
	if err == nil {
		err = os.WriteFile(*out, append(text, '\n'), 0o644)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench/forward:", err)
	os.Exit(1)
}

// String is the row as -rows takes it.
func (l load) String() string {
	return strings.TrimSpace(fmt.Sprintf("%dx%d %s", l.publishers, l.subscribers, l.kind))
}

func parseLoad(row string) (load, error) {
	size, kind, _ := strings.Cut(row, " ")
	a, b, ok := strings.Cut(size, "x")
	publishers, err := strconv.Atoi(a)
	subscribers, err2 := strconv.Atoi(b)
	if !ok || err != nil || err2 != nil || publishers < 1 || publishers > 40 || subscribers < 1 {
		return load{}, fmt.Errorf("-rows: %q is not publishers x subscribers", row)
	}
	l := load{publishers, subscribers, traffic(kind)}
	if l.kind != frames && l.kind != paced && l.kind != gallery && l.kind != meeting {
		return load{}, fmt.Errorf("-rows: there is no traffic %q", kind)
	}
	return l, nil
}

func print(r result) {
	l := load{r.Publishers, r.Subscribers, r.Traffic}
	goal := ""
	if r.SFU == "spillway" && r.SRTP == "gcm" {
		goal = goals[l]
	}
	got := fmt.Sprintf("%.0f %.0f", r.Each.Packets, r.Each.Asked)
	if r.Each.Kbps > 0 {
		got += fmt.Sprintf(" (%.0f kbps)", r.Each.Kbps)
	}
	fmt.Printf("%-9s %-4s %-14s %8.2f %8.2f %8.2f %8.0f %6.2f%% %7.2f %7.2f %14s  %s\n", r.SFU, r.SRTP, l,
		r.CPU.Min, r.CPU.Median, r.CPU.Max, r.Memory, 100*r.Loss, r.Delay.P50, r.Delay.P99, got, goal)
}

// pinned says that this process is the one on the load's core.
const pinned = "BENCH_FORWARD_PINNED"

// pin starts this program anew on the second core, as all threads of a Go program
// are where its first one was.
func pin() error {
	if os.Getenv(pinned) != "" {
		return nil
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return fmt.Errorf("taskset (util-linux) pins processes to cores: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{"taskset", "-c", "1", self}, os.Args[1:]...)
	return syscall.Exec(taskset, args, append(os.Environ(), pinned+"=1"))
}

// rivals are the SFUs of others, by what they are called here: the program, where
// it may be besides in PATH, and what starts it; nil where nothing can yet.
var rivals = map[string]struct {
	program string
	built   string
	start   func(binary string) (server, error)
}{
	"livekit": {"livekit-server", "build/peers/livekit-server", startLiveKit},
	"janus":   {"janus", "build/peers/janus", startJanus},
	"galene":  {"galene", "build/peers/galene", nil},
}

// start returns what starts an SFU; record and profiles are Spillway's.
func start(sfu, record, profiles string) (func() (server, error), error) {
	switch sfu {
	case "spillway":
		return func() (server, error) { return startSpillway(record, profiles) }, nil
	case "pion":
		return startPlain, nil
	}
	r, ok := rivals[sfu]
	if !ok {
		return nil, fmt.Errorf("-sfu: %q is not known", sfu)
	}
	binary, err := exec.LookPath(r.program)
	if err != nil {
		binary, err = exec.LookPath(r.built)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not installed: left out", r.program)
	}
	if r.start == nil {
		return nil, fmt.Errorf("%s is installed, but this program cannot drive it: left out", r.program)
	}
	return func() (server, error) { return r.start(binary) }, nil
}

// measure runs one SFU under one load.
func measure(begin func() (server, error), sfu, profile string, l load, windows int) (r result, err error) {
	r = result{SFU: sfu, SRTP: profile, Cores: *cores, Publishers: l.publishers, Subscribers: l.subscribers, Traffic: l.kind}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	s, err := begin()
	if err != nil {
		return r, err
	}
	defer s.stop()
	g, err := newGenerator(ctx, s, profile, l)
	defer g.close()
	if err != nil {
		return r, err
	}
	r.Memory = g.memory
	time.Sleep(l.kind.settles())
	g.watcher.begin()
	var cpu []float64
	first := g.rest(s.pid())
	time.Sleep(time.Second / 2)
	before := g.take(s.pid())
	start, began := before, time.Now()
	for range windows {
		time.Sleep(2 * time.Second)
		now := g.take(s.pid())
		cpu = append(cpu, (now.cpu-before.cpu).Seconds()*1e6/float64(now.arrived-before.arrived))
		before = now
	}
	r.Each = eachBetween(start, before, l.subscribers-1, time.Since(began))
	slices.Sort(cpu)
	r.CPU = spread{cpu[0], cpu[len(cpu)/2], cpu[len(cpu)-1]}
	last := g.rest(s.pid())
	r.Loss = 1 - float64(last.arrived-first.arrived)/(last.owed-first.owed)
	r.Delay, err = g.watcher.end()
	return r, err
}
