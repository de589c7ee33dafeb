package cloud

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/spillway-sfu/spillway/shared/room"
)

// NodeProgram is what an instance of a plain machine image fetches and runs. The
// zero one means that the machine image, or whoever stands in for it, provides
// for booting.
type NodeProgram struct {
	// URL is an object's in S3, SHA256 its checksum in hexadecimal digits.
	URL, SHA256 string
	Port        int    // of media over UDP
	Log         string // level
}

// TCPPort is where nodes take media over TCP: the port that networks which pass little
// else do pass.
const TCPPort = 443

// Boot is what a node is told at launch.
type Boot struct {
	// SocketURL is what it dials.
	SocketURL string
	Node      room.NodeID
	// Token admits this node and no other.
	Token   string
	Program NodeProgram
}

//go:embed boot.sh
var bootScript string

// UserData renders what an instance runs first: a script that writes the node's
// configuration and goes on with SPILLWAY_BOOT where that is set, else with
// fetching the program. Cloud-init runs it as a boothook, seconds before it would
// run a plain script.
func (b Boot) UserData() (string, error) {
	for name, v := range map[string]string{"socket URL": b.SocketURL, "node": string(b.Node), "token": b.Token,
		"program": b.Program.URL + ".", "checksum": b.Program.SHA256 + ".", "log level": b.Program.Log + "."} {
		if v == "" || strings.ContainsAny(v, "\n\r'\"\\$` ") {
			return "", fmt.Errorf("%s cannot stand in user data", name)
		}
	}
	return fmt.Sprintf(`#cloud-boothook
#!/bin/sh
set -eu
umask 077
etc="${SPILLWAY_ETC:-/etc/spillway}"
mkdir -p "$etc"
cat >"$etc/node.env" <<'END'
SPILLWAY_URL=%s
SPILLWAY_NODE=%s
SPILLWAY_TOKEN=%s
END
[ -z "${SPILLWAY_BOOT:-}" ] || exec "$SPILLWAY_BOOT"
program='%s' sha256='%s' port='%d' tcp='%d' log='%s'
%s`, b.SocketURL, b.Node, b.Token, b.Program.URL, b.Program.SHA256, b.Program.Port, TCPPort, b.Program.Log, bootScript), nil
}
