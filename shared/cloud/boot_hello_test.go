package cloud_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

// TestUserDataBootsTheRealNode goes the whole way from user data to a node's
// first hello, with the real program: what it cannot show is what comes before
// user data, and systemd itself.
func TestUserDataBootsTheRealNode(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "sfu-node")
	if out, err := exec.Command("go", "build", "-o", program, "../../sfu-node").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	hellos := make(chan events.Message, 10)
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		_, raw, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if m, err := events.Decode(events.FromNode, raw); err == nil && r.URL.Query().Get("access_token") == "token" {
			hellos <- m
		}
		_, _, _ = conn.Read(r.Context()) // until the node goes
	}))
	defer control.Close()
	machine := httptest.NewServer(&machine{program: string(text)})
	defer machine.Close()
	sum := sha256.Sum256(text)
	data, err := cloud.Boot{SocketURL: "ws" + strings.TrimPrefix(control.URL, "http"), Node: "n-1", Token: "token",
		Program: cloud.NodeProgram{URL: machine.URL + "/assets/program", SHA256: hex.EncodeToString(sum[:]), Log: "info"}}.UserData()
	if err != nil {
		t.Fatal(err)
	}
	script, stand := filepath.Join(folder, "part-001"), filepath.Join(folder, "systemctl")
	// What systemd does with the service: the environment's file, then the program.
	systemctl := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = start ] || exit 0\nset -a\n. '%[1]s/etc/spillway/node.env'\n'%[1]s/opt/spillway/sfu-node' >'%[1]s/log' 2>&1 &\necho $! >'%[1]s/pid'\n", folder)
	for name, text := range map[string]string{script: strings.TrimPrefix(data, "#cloud-boothook\n"), stand: systemctl} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/bin/sh", script)
	cmd.Env = append(os.Environ(), "SPILLWAY_ROOT="+folder, "SPILLWAY_ETC="+folder+"/etc/spillway", "SPILLWAY_METADATA="+machine.URL,
		"SPILLWAY_SYSTEMCTL="+stand, "SPILLWAY_POWEROFF=false", "SPILLWAY_BOOT=", "no_proxy=127.0.0.1")
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("user data: %v: %s", err, out)
	}
	defer func() {
		pid, err := os.ReadFile(filepath.Join(folder, "pid"))
		if n, e := strconv.Atoi(strings.TrimSpace(string(pid))); err == nil && e == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}()
	scripted := time.Since(began)
	select {
	case m := <-hellos:
		h, ok := m.(events.Hello)
		if !ok || h.Node != "n-1" || len(h.Addresses) != 2 {
			t.Fatalf("the node's first message is %+v", m)
		}
		t.Logf("user data %v, hello %v after it began; the program has %d bytes", scripted.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), len(text))
	case <-time.After(20 * time.Second):
		log, _ := os.ReadFile(filepath.Join(folder, "log"))
		t.Fatalf("no hello; the node logged: %s", log)
	}
	log, err := os.ReadFile(filepath.Join(folder, "log"))
	if err != nil || !strings.Contains(string(log), `"bootStages":"script=`) {
		t.Errorf("the node does not say how it booted: %s, %v", log, err)
	}
}
