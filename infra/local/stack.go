package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/gateway"
	"github.com/spillway-sfu/spillway/infra/local/instances"
	"github.com/spillway-sfu/spillway/infra/local/lambda"
	"github.com/spillway-sfu/spillway/infra/local/moto"
)

const (
	region  = "us-east-1"
	account = "123456789012" // moto's
	stage   = "ws"
	// stopWithin is how long a node may take to end when the stack does.
	stopWithin = 5 * time.Second
)

// credentials are those of everything here: moto takes any, the gateway checks
// that posts are signed with these.
var credentials = aws.Credentials{AccessKeyID: "AKIALOCALSTACK", SecretAccessKey: "local-secret-of-no-value"}

var functions = []string{"authorize", "participant", "node", "fleet", "rooms"}

// local is a running stack.
type local struct {
	o         options
	log       *slog.Logger
	dir       string // for what is needed while it runs
	listeners []net.Listener
	logs      []io.Closer
	moto      *moto.Server
	lambda    *lambda.Service
	socket    *gateway.WebSocket
	agent     *instances.Agent
	hosts     hosts
	queue     string
	aws       aws.Config
}

// base is host and port of everything that people open.
func (l *local) base() string { return fmt.Sprintf("localhost:%d", l.o.port) }

// socketURL is what browsers and nodes dial, callbackURL where functions post.
func (l *local) socketURL() string { return "ws://" + l.base() + "/" + stage }

func (l *local) callbackURL() string {
	return fmt.Sprintf("http://127.0.0.1:%d/%s", l.o.port, stage)
}

// start brings everything up, in the order in which one needs the other. What
// complains about this machine comes first.
func (l *local) start(ctx context.Context) error {
	if err := l.check(); err != nil {
		return err
	}
	var err error
	if l.listeners, l.o.port, err = listen(l.o.port); err != nil {
		return err
	}
	if err := l.startLogs(); err != nil {
		return err
	}
	if l.dir, err = os.MkdirTemp("", "spillway-"); err != nil {
		return err
	}
	motoLog, err := l.openLog("moto")
	if err != nil {
		return err
	}
	fmt.Println("starting; logs go to " + l.o.logDir)
	if l.moto, err = moto.Start(ctx, moto.Config{Log: motoLog}); err != nil {
		return err
	}
	l.aws = aws.Config{Region: region, BaseEndpoint: &l.moto.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil })}
	l.queue, err = moto.SetUp(ctx, l.aws, stack, moto.Secrets{JoinKeys: map[string]string{l.o.keyID: l.o.keySecret},
		APIKeys: []string{l.o.apiKey}, Root: l.o.root})
	if err != nil {
		return err
	}
	if err := l.startFunctions(); err != nil {
		return err
	}
	return l.startAgent()
}

// startLogs opens the log of the stack itself. Not before the port is taken: it
// may be that of a stack that runs.
func (l *local) startLogs() error {
	if l.o.logDir == "" {
		l.o.logDir = filepath.Join(".dev", fmt.Sprintf("logs-%d", l.o.port))
	}
	if err := os.MkdirAll(l.o.logDir, 0o755); err != nil {
		return err
	}
	file, err := l.openLog("local")
	if err != nil {
		return err
	}
	l.log = slog.New(slog.NewMultiHandler(slog.NewJSONHandler(file, nil),
		slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	return nil
}

// check complains about what is missing before anything is started.
func (l *local) check() error {
	for _, f := range append([]string{"sfu-node"}, functions...) {
		path := filepath.Join(l.o.buildDir, f)
		if f != "sfu-node" {
			path = filepath.Join(path, "bootstrap")
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is missing: run make build", path)
		}
	}
	if _, err := os.Stat(filepath.Join(l.o.demoDir, "index.html")); err != nil {
		return fmt.Errorf("the demo is missing in %s: run make build", l.o.demoDir)
	}
	return nil
}

// functionEnv is the environment of every function.
func (l *local) functionEnv() []string {
	env := []string{
		"AWS_ENDPOINT_URL=" + l.moto.URL,
		"AWS_ACCESS_KEY_ID=" + credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + credentials.SecretAccessKey,
		"SPILLWAY_STACK=" + stack, "SPILLWAY_TABLE=" + moto.Table(stack), "SPILLWAY_BUS=" + moto.EventBus(stack),
		"SPILLWAY_CALLBACK_URL=" + l.callbackURL(), "SPILLWAY_SOCKET_URL=" + l.socketURL(),
		"SPILLWAY_LAUNCH_TEMPLATE=" + moto.LaunchTemplate(stack), "SPILLWAY_IDLE_AFTER=" + l.o.idleAfter.String(),
		fmt.Sprintf("SPILLWAY_MAX_NODES=%d", l.o.maxNodes), "SPILLWAY_BOOT_TIME=" + (l.o.bootDelay + time.Second).String(),
		fmt.Sprintf("SPILLWAY_NODES_PER_ROOM=%d", l.o.nodesPerRoom),
	}
	if l.o.nodeSeats > 0 {
		env = append(env, fmt.Sprintf("SPILLWAY_NODE_SEATS=%d", l.o.nodeSeats))
	}
	return env
}

func (l *local) startFunctions() error {
	env := l.functionEnv()
	var list []lambda.Function
	for _, name := range functions {
		out, err := l.openLog(name)
		if err != nil {
			return err
		}
		bootstrap, err := filepath.Abs(filepath.Join(l.o.buildDir, name, "bootstrap"))
		if err != nil {
			return err
		}
		list = append(list, lambda.Function{Name: name, Bootstrap: bootstrap, Env: env, Output: out, Timeout: 29 * time.Second})
	}
	var err error
	l.lambda, err = lambda.New(region, account, l.log, list...)
	if err != nil {
		return err
	}
	l.socket = gateway.NewWebSocket(l.lambda, gateway.WebSocketOptions{
		Stage: stage, Domain: l.base(), APIID: "local", Region: region, Account: account, Authorizer: "authorize",
		Routes: map[string]string{
			"join": "participant", "leave": "participant", "renew": "participant", "$default": "participant", "$disconnect": "participant",
			"hello": "node", "heartbeat": "node", "answered": "node", "left": "node", "journal": "node", "metrics": "node", "moderate": "node",
		},
		Credentials: credentials, Log: l.log, Seed: uint64(time.Now().UnixNano()), Quotas: gateway.Quotas{Lifetime: l.o.socketLife},
	})
	return nil
}

func (l *local) startAgent() error {
	node, err := filepath.Abs(filepath.Join(l.o.buildDir, "sfu-node"))
	if err != nil {
		return err
	}
	boot := filepath.Join(l.dir, "boot")
	script := fmt.Sprintf("#!/bin/sh\nSPILLWAY_HOST=\"http://127.0.0.1:%d%s${SPILLWAY_ETC##*/}\" exec '%s' -config \"$SPILLWAY_ETC/node.env\"\n", l.o.port, hostsBelow, node)
	if err := os.WriteFile(boot, []byte(script), 0o755); err != nil {
		return err
	}
	l.agent = instances.New(instances.Config{
		AWS: l.aws, Stack: stack, Boot: boot, Dir: filepath.Join(l.dir, "instances"), BootDelay: l.o.bootDelay, Log: l.log,
		Env: []string{"SPILLWAY_MEDIA_IP=" + l.o.mediaIP, "SPILLWAY_MEDIA_PORT=0", "SPILLWAY_LOG=" + l.o.nodeLog, "SPILLWAY_METRICS=0",
			"SPILLWAY_SOCKET_LIFE=" + l.o.socketLife.String(), "SPILLWAY_SRTP=" + l.o.nodeSRTP},
		Logs: func(instance string) (io.WriteCloser, error) {
			return os.Create(filepath.Join(l.o.logDir, instance+".log"))
		},
		Grace:   stopWithin,
		Changed: l.instanceChanged,
	})
	return nil
}

// openLog opens a log that lives as long as the stack.
func (l *local) openLog(name string) (*os.File, error) {
	f, err := os.Create(filepath.Join(l.o.logDir, name+".log"))
	if err == nil {
		l.logs = append(l.logs, f)
	}
	return f, err
}

// run serves until ctx ends or something without which the stack is nothing
// fails.
func (l *local) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	server := &http.Server{Handler: l.routes(), ReadHeaderTimeout: 10 * time.Second}
	for _, listener := range l.listeners {
		wg.Go(func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("serve: %w", err))
			}
		})
	}
	wg.Go(func() { l.agent.Run(ctx) })
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := moto.Deliver(ctx, l.aws, l.queue, l.wakeFleet); err != nil && ctx.Err() == nil {
				l.log.Warn("deliver events", "error", err)
			}
		}
	})
	wg.Go(func() { l.sweepOnTime(ctx) })
	select {
	case <-ctx.Done():
	case <-l.moto.Done():
		cancel(fmt.Errorf("moto has ended, and with it all data; %s may say why", filepath.Join(l.o.logDir, "moto.log")))
	}
	err := context.Cause(ctx)
	cancel(nil)
	_ = server.Close()
	wg.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// stop ends what start started; it may be called after any part of it.
func (l *local) stop() {
	if l.socket != nil {
		l.socket.Close()
	}
	if l.lambda != nil {
		l.lambda.Close()
	}
	if l.moto != nil {
		l.moto.Stop()
	}
	for _, listener := range l.listeners {
		_ = listener.Close() // the server may have closed it
	}
	for _, f := range l.logs {
		_ = f.Close()
	}
	if l.dir != "" {
		_ = os.RemoveAll(l.dir)
	}
}

// wakeFleet invokes the fleet function.
func (l *local) wakeFleet(ctx context.Context, event []byte) error {
	_, err := l.lambda.Invoke(ctx, "fleet", event)
	if err != nil && ctx.Err() == nil {
		l.log.Warn("fleet failed", "error", err)
	}
	return err
}

// sweep asks the fleet function to sweep, as the timer does.
func (l *local) sweep(ctx context.Context) error {
	event, err := json.Marshal(events.Sweep{Header: events.Head(events.ActionSweep)})
	if err != nil {
		return err
	}
	return l.wakeFleet(ctx, event)
}

func (l *local) sweepOnTime(ctx context.Context) {
	tick := time.NewTicker(l.o.sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = l.sweep(ctx) // logged
		}
	}
}

// instanceChanged says on the console what happens to instances, and tells the
// fleet function of their ends, as EC2 does.
func (l *local) instanceChanged(ctx context.Context, c instances.Change) {
	switch c.State {
	case instances.Pending:
		fmt.Printf("instance %s launched for node %s\n", c.Instance, c.Node)
		return
	case instances.Running:
		fmt.Printf("instance %s runs node %s\n", c.Instance, c.Node)
		return
	case instances.Terminated:
		fmt.Printf("instance %s terminated\n", c.Instance)
	}
	event, err := l.awsEvent(events.BusSourceEC2, events.DetailEC2State, map[string]string{"instance-id": c.Instance, "state": string(c.State)})
	if err == nil {
		_ = l.wakeFleet(ctx, event) // logged
	}
}
