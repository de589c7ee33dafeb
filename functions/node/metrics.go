package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/emf"
)

// metrics writes what nodes have measured where CloudWatch reads it: to this
// function's log, in lines of nothing else. Without a writer it writes nothing.
type metrics struct {
	out       io.Writer
	namespace string
}

// metricsOut is as SPILLWAY_EMF says, which is on unless it is off.
func metricsOut(stack string) metrics {
	if os.Getenv("SPILLWAY_EMF") == "off" {
		return metrics{}
	}
	return metrics{os.Stdout, emf.Namespace(stack)}
}

func (w metrics) write(m events.Metrics, now time.Time) error {
	if w.out == nil {
		return nil
	}
	var b bytes.Buffer
	for _, line := range emf.Lines(w.namespace, m, now) {
		b.Write(line)
		b.WriteByte('\n')
	}
	if _, err := w.out.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}
