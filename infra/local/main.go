// Command local runs Spillway on one machine: the deployed functions behind a
// gateway that behaves like API Gateway, nodes as processes, and moto in place of
// DynamoDB, EC2, SSM and EventBridge. `make dev` builds and starts it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spillway-sfu/spillway/infra/local/moto"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "spillway:", err)
		os.Exit(1)
	}
}

func serve() error {
	o, err := readOptions()
	if err != nil {
		return err
	}
	l := &local{o: o, log: slog.New(slog.DiscardHandler)}
	// The first signal ends everything in order, a second one at once.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	context.AfterFunc(ctx, func() {
		cancel()
		if context.Cause(ctx) != context.Canceled { // but by a signal
			fmt.Println("\nstopping; once more ends it at once") // a terminal has just shown ^C
		}
	})
	defer l.stop()
	began := time.Now()
	if err := l.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if err := l.announce(time.Since(began)); err != nil {
		return err
	}
	return l.run(ctx)
}

// announce says that the stack is ready, to people and to programs.
func (l *local) announce(took time.Duration) error {
	l.log.Info("ready", "tookMs", took.Milliseconds())
	demo, socket, api := "http://"+l.base()+"/", l.socketURL(), "http://"+l.base()+"/v1"
	fmt.Printf("ready: demo %s · socket %s · api %s · key %s\n", demo, socket, api, l.o.apiKey)
	if l.o.readyFile == "" {
		return nil
	}
	data, err := json.Marshal(map[string]any{"demo": demo, "socket": socket, "api": api, "key": l.o.apiKey, "pid": os.Getpid(),
		"joinKeyID": l.o.keyID, "joinKeySecret": l.o.keySecret, "logs": l.o.logDir,
		"aws": l.moto.URL, "table": moto.Table(stack)})
	if err != nil {
		return err
	}
	// Whoever waits for the file must not find half of it.
	if err := os.WriteFile(l.o.readyFile+".part", data, 0o600); err != nil {
		return err
	}
	return os.Rename(l.o.readyFile+".part", l.o.readyFile)
}
