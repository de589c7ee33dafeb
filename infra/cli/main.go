// Command spillway shows operators what a deployment does, over its HTTP API:
// rooms, nodes, why decisions were made, what it costs. It also mints join
// tokens, for trying things out.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// command is the command line.
type command struct {
	URL  string `help:"Base of the HTTP API (ApiURL of the deployment)." env:"SPILLWAY_API_URL" placeholder:"URL"`
	Key  string `help:"Key of the HTTP API." env:"SPILLWAY_API_KEY" placeholder:"KEY"`
	JSON bool   `help:"Print what the API answers, as JSON, instead of tables."`

	Rooms      roomsCommand      `cmd:"" help:"List rooms, or the people of one."`
	Nodes      nodesCommand      `cmd:"" help:"List nodes: state, people, what is claimed, measured and free."`
	Drain      drainCommand      `cmd:"" help:"Move everybody off a node, then terminate it."`
	Token      tokenCommand      `cmd:"" help:"Mint a join token with one of the deployment's keys."`
	Why        whyCommand        `cmd:"" help:"Explain the latest decisions about nodes, by making them again."`
	Cost       costCommand       `cmd:"" help:"Say what runs now and costs, or estimate a month."`
	Completion completionCommand `cmd:"" help:"Print completion for bash: source <(spillway completion)."`
}

// output is where a command writes, and how.
type output struct {
	io.Writer
	json bool
}

// table writes rows in columns; the first row is the heading.
func (o output) table(rows [][]string) error {
	w := tabwriter.NewWriter(o, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(w, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// asJSON writes a value for programs.
func (o output) asJSON(v any) error {
	e := json.NewEncoder(o)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "spillway:", err)
		os.Exit(1)
	}
}

// run does what the arguments say. Help is written and is no error.
func run(ctx context.Context, args []string, out io.Writer) error {
	var c command
	helped := false
	parser, err := kong.New(&c, kong.Name("spillway"), kong.Description("See and steer a Spillway deployment."), kong.Writers(out, out),
		kong.UsageOnError(), kong.Exit(func(int) { helped = true }))
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if helped {
		return nil
	}
	if err != nil {
		return err
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return parsed.Run(client{c.URL, c.Key}, output{out, c.JSON}, parser)
}

type completionCommand struct{}

func (completionCommand) Run(parser *kong.Kong, out output) error {
	var words []string
	for _, n := range parser.Model.Leaves(true) {
		words = append(words, n.Name)
	}
	for _, f := range parser.Model.Flags {
		words = append(words, "--"+f.Name)
	}
	_, err := fmt.Fprintf(out, "complete -o default -W %q spillway\n", strings.Join(words, " "))
	return err
}
