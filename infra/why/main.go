// Command why explains decisions about nodes: it reads log lines of the
// functions, makes each decision again from the inputs in its line, and says in
// sentences why a seat went where it went or why these nodes were launched.
//
//	why -line '{"msg":"decision",...}'
//	why fleet.log
//	grep '"choice":"launch' fleet.log | why
//
// Lines that hold no such decision are passed over. It ends with 1 if a
// decision made again differs from what was logged, or if there was none.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spillway-sfu/spillway/shared/placement"
)

func main() {
	line := flag.String("line", "", "explain this line instead of a file or standard input")
	flag.Parse()
	in := io.Reader(os.Stdin)
	switch {
	case *line != "":
		in = strings.NewReader(*line)
	case flag.NArg() == 1:
		f, err := os.Open(flag.Arg(0))
		if err != nil {
			fmt.Fprintln(os.Stderr, "why:", err)
			os.Exit(1)
		}
		defer f.Close()
		in = f
	case flag.NArg() > 1:
		fmt.Fprintln(os.Stderr, "why: one file at a time")
		os.Exit(1)
	}
	if err := explain(in, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "why:", err)
		os.Exit(1)
	}
}

func explain(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	found, differs := 0, 0
	for lines.Scan() {
		text, err := placement.Explain(lines.Text())
		if errors.Is(err, placement.ErrNothingToExplain) || !strings.HasPrefix(lines.Text(), "{") {
			continue
		}
		if err != nil {
			return err
		}
		if found++; found > 1 {
			fmt.Fprintln(out)
		}
		if strings.Contains(text, "\nDiffers:") {
			differs++
		}
		fmt.Fprint(out, text)
	}
	switch {
	case lines.Err() != nil:
		return fmt.Errorf("read lines: %w", lines.Err())
	case found == 0:
		return errors.New("no line holds a placement or a launch")
	case differs > 0:
		return fmt.Errorf("%d of %d decisions differ from what was logged", differs, found)
	}
	return nil
}
