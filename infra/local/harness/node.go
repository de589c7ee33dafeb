package harness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// NodeProcess finds the media server of an instance by its command line.
func NodeProcess(instance string) (int, error) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, file := range all {
		line, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(line, []byte(instance)) || !bytes.Contains(line, []byte("sfu-node")) {
			continue
		}
		return strconv.Atoi(filepath.Base(filepath.Dir(file)))
	}
	return 0, fmt.Errorf("no process runs for instance %s", instance)
}
