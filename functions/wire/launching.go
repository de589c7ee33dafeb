package wire

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/spillway-sfu/spillway/shared/cloud"
)

// Launching is what the fleet function alone must know.
type Launching struct {
	TemplateVersion string
	Program         cloud.NodeProgram
	SpotPercent     int
	Tags            map[string]string
}

var sha256Shape = regexp.MustCompile(`^[0-9a-f]{64}$`)

func launching() (Launching, error) {
	l := Launching{TemplateVersion: os.Getenv("SPILLWAY_LAUNCH_TEMPLATE_VERSION"),
		Program: cloud.NodeProgram{URL: os.Getenv("SPILLWAY_NODE_PROGRAM"), SHA256: os.Getenv("SPILLWAY_NODE_SHA256"), Log: os.Getenv("SPILLWAY_LOG")}}
	if l.Program.URL != "" && !strings.HasPrefix(l.Program.URL, "http") {
		return l, fmt.Errorf("SPILLWAY_NODE_PROGRAM: %q is no URL", l.Program.URL)
	}
	if l.Program.URL != "" && !sha256Shape.MatchString(l.Program.SHA256) {
		return l, fmt.Errorf("SPILLWAY_NODE_SHA256: %q is no SHA-256 in small hexadecimal digits", l.Program.SHA256)
	}
	var err error
	if l.Program.Port, err = number("SPILLWAY_MEDIA_PORT", 7882, 1, 65535); err != nil {
		return l, err
	}
	if l.SpotPercent, err = number("SPILLWAY_SPOT_PERCENT", 0, 0, 100); err != nil {
		return l, err
	}
	if v := os.Getenv("SPILLWAY_TAGS"); v != "" {
		if err := json.Unmarshal([]byte(v), &l.Tags); err != nil {
			return l, fmt.Errorf("SPILLWAY_TAGS: not a JSON object of strings")
		}
	}
	return l, nil
}
