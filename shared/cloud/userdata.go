package cloud

import (
	"fmt"
	"strings"

	"github.com/spillway-sfu/spillway/shared/room"
)

// Boot is what a node is told at launch.
type Boot struct {
	// SocketURL is what it dials.
	SocketURL string
	Node      room.NodeID
	// Token admits this node and no other.
	Token string
}

// UserData renders what an instance runs first: a script that writes the node's
// configuration and goes on with what the machine image, or whoever stands in
// for it, provides for booting.
func (b Boot) UserData() (string, error) {
	for name, v := range map[string]string{"socket URL": b.SocketURL, "node": string(b.Node), "token": b.Token} {
		if v == "" || strings.ContainsAny(v, "\n\r'\"\\$` ") {
			return "", fmt.Errorf("%s cannot stand in user data", name)
		}
	}
	return fmt.Sprintf(`#!/bin/sh
set -eu
umask 077
etc="${SPILLWAY_ETC:-/etc/spillway}"
mkdir -p "$etc"
cat >"$etc/node.env" <<'END'
SPILLWAY_URL=%s
SPILLWAY_NODE=%s
SPILLWAY_TOKEN=%s
END
exec "${SPILLWAY_BOOT:-/opt/spillway/boot}"
`, b.SocketURL, b.Node, b.Token), nil
}
