package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/spillway-sfu/spillway/bench/plain"
	"github.com/spillway-sfu/spillway/events"
)

// plainArgument makes this program plain pion's SFU. It reads offers from its input
// and writes answers, a JSON line each.
const plainArgument = "plain-pion-sfu"

type plainPion struct {
	process
	mu  sync.Mutex
	in  io.Writer
	out *bufio.Reader
}

func startPlain() (server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &plainPion{process: process{onItsCores(self, plainArgument)}}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReader(out)
	return p, p.cmd.Start()
}

func (p *plainPion) join(ctx context.Context, s seat) (*peer, error) {
	return answers(p.answer).join(ctx, s)
}

func (p *plainPion) answer(_ context.Context, o events.Offer) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	raw, err := json.Marshal(o)
	if err == nil {
		_, err = p.in.Write(append(raw, '\n'))
	}
	if err != nil {
		return "", err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("plain pion: %w", err)
	}
	return line[:len(line)-1], nil
}

func servePlain() {
	s := plain.New()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o events.Offer
		err := json.Unmarshal(lines.Bytes(), &o)
		answer := ""
		if err == nil {
			answer, err = s.Answer(o)
		}
		if err != nil {
			fail(err)
		}
		fmt.Println(answer)
	}
}
