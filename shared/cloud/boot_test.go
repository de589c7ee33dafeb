package cloud_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/spillway-sfu/spillway/shared/cloud"
)

// machine is what a booting instance finds around it: the metadata service with
// its session tokens, and S3, which checks signatures.
type machine struct {
	program  string
	requests []string
	six      string // its address of IPv6, if it has one
	unsigned bool   // a request to S3 was not signed rightly
}

var instanceCredentials = aws.Credentials{AccessKeyID: "AKIAINSTANCE", SecretAccessKey: "se/cr+et", SessionToken: "session+token/=="}

func (m *machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.requests = append(m.requests, r.Method+" "+r.URL.Path)
	answers := map[string]string{
		"local-ipv4": "10.70.0.9", "public-ipv4": "203.0.113.9", "placement/region": "eu-west-1", "iam/security-credentials/": "the-role",
		"iam/security-credentials/the-role": `{
  "Code" : "Success",
  "AccessKeyId" : "` + instanceCredentials.AccessKeyID + `",
  "SecretAccessKey" : "` + instanceCredentials.SecretAccessKey + `",
  "Token" : "` + instanceCredentials.SessionToken + `"
}`}
	answers["ipv6"] = m.six
	path, meta := strings.CutPrefix(r.URL.Path, "/latest/meta-data/")
	switch {
	case r.URL.Path == "/latest/api/token" && r.Method == http.MethodPut && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "":
		_, _ = w.Write([]byte("imds-session"))
	case meta && r.Header.Get("X-aws-ec2-metadata-token") == "imds-session" && answers[path] != "":
		_, _ = w.Write([]byte(answers[path]))
	case r.URL.Path == "/assets/program" && m.signed(r):
		_, _ = w.Write([]byte(m.program))
	default:
		w.WriteHeader(http.StatusForbidden)
	}
}

// signed signs the request again, as S3 does, and compares.
func (m *machine) signed(r *http.Request) bool {
	got := r.Header.Get("Authorization")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	names := regexp.MustCompile(`SignedHeaders=([^,]+)`).FindStringSubmatch(got)
	if err != nil || names == nil || r.Header.Get("X-Amz-Security-Token") != instanceCredentials.SessionToken {
		m.unsigned = true
		return false
	}
	again, _ := http.NewRequest(http.MethodGet, "http://"+r.Host+r.URL.Path, nil)
	for name := range strings.SplitSeq(names[1], ";") {
		if name != "host" {
			again.Header.Set(name, r.Header.Get(name))
		}
	}
	empty := sha256.Sum256(nil)
	err = v4.NewSigner().SignHTTP(r.Context(), instanceCredentials, again, hex.EncodeToString(empty[:]), "s3", "eu-west-1", at)
	signature := regexp.MustCompile(`Signature=(\w+)`)
	m.unsigned = err != nil || signature.FindString(again.Header.Get("Authorization")) != signature.FindString(got)
	return !m.unsigned
}

// boot runs user data for real, with a folder for the machine's disk, and
// scripts in place of systemctl and poweroff that note how they were called.
func boot(t *testing.T, m *machine, sum string) (root, called string) {
	t.Helper()
	server := httptest.NewServer(m)
	defer server.Close()
	data, err := cloud.Boot{SocketURL: "wss://a/ws", Node: "n-1", Token: "token", Program: cloud.NodeProgram{
		URL: server.URL + "/assets/program", SHA256: sum, Port: 7882, Log: "info"}}.UserData()
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 16<<10-1 {
		t.Errorf("user data has %d bytes, and EC2 takes 16 KB", len(data))
	}
	// As cloud-init: the marker is taken off, what remains is run by itself.
	script, ok := strings.CutPrefix(data, "#cloud-boothook\n")
	if !ok || !strings.HasPrefix(script, "#!/bin/sh\n") {
		t.Fatal("user data is no boothook with a script")
	}
	root = t.TempDir()
	file, calls := filepath.Join(root, "part-001"), filepath.Join(root, "calls")
	note := filepath.Join(root, "note")
	for name, text := range map[string]string{file: script, note: "#!/bin/sh\necho \"$@\" >>'" + calls + "'\n"} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/bin/sh", file)
	cmd.Env = append(os.Environ(), "SPILLWAY_ROOT="+root, "SPILLWAY_ETC="+filepath.Join(root, "etc", "spillway"), "SPILLWAY_METADATA="+server.URL,
		"SPILLWAY_SYSTEMCTL="+note, "SPILLWAY_POWEROFF="+note, "SPILLWAY_BOOT=", "no_proxy=127.0.0.1")
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("user data: %v: %s", err, out)
	}
	t.Logf("user data took %v", time.Since(began).Round(time.Millisecond))
	made, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	return root, string(made)
}

func TestUserDataAnnouncesIPv6WhereThereIsAny(t *testing.T) {
	for six, want := range map[string]string{"": "SPILLWAY_MEDIA_IP=203.0.113.9,10.70.0.9\n", "2001:db8::9": "SPILLWAY_MEDIA_IP=203.0.113.9,10.70.0.9,2001:db8::9\n"} {
		m := &machine{program: "#!/bin/true\n", six: six}
		sum := sha256.Sum256([]byte(m.program))
		root, _ := boot(t, m, hex.EncodeToString(sum[:]))
		if env, err := os.ReadFile(filepath.Join(root, "etc/spillway/node.env")); err != nil || !strings.Contains(string(env), want) {
			t.Errorf("with %q the node is not told %s:\n%s (%v)", six, want, env, err)
		}
	}
}

func TestUserDataBootsAPlainImage(t *testing.T) {
	m := &machine{program: "#!/bin/true\n"}
	sum := sha256.Sum256([]byte(m.program))
	root, called := boot(t, m, hex.EncodeToString(sum[:]))
	if m.unsigned {
		t.Error("the request for the program is not signed as S3 wants")
	}
	if !strings.Contains(called, "start --no-block spillway.service") {
		t.Errorf("the service is not started: %q", called)
	}
	if len(m.requests) != 8 {
		t.Errorf("booting made %d requests: %v", len(m.requests), m.requests)
	}
	env, err := os.ReadFile(filepath.Join(root, "etc/spillway/node.env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"SPILLWAY_URL=wss://a/ws", "SPILLWAY_NODE=n-1", "SPILLWAY_TOKEN=token", "SPILLWAY_MEDIA_IP=203.0.113.9,10.70.0.9",
		"SPILLWAY_MEDIA_PORT=7882", "SPILLWAY_TCP_PORT=443", "SPILLWAY_LOG=info", "SPILLWAY_HOST=http://127.0.0.1"} {
		if !strings.Contains(string(env), line) {
			t.Errorf("the node is not told %s:\n%s", line, env)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "opt/spillway/sfu-node")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program: %v, %v", info, err)
	}
	unit := filepath.Join(root, "etc/systemd/system/spillway.service")
	if text, err := os.ReadFile(unit); err != nil || !strings.Contains(string(text), "ExecStart="+root+"/opt/spillway/sfu-node") {
		t.Errorf("the service is %s, %v", text, err)
	}
	if verify, err := exec.LookPath("systemd-analyze"); err == nil {
		if out, err := exec.Command(verify, "verify", unit).CombinedOutput(); err != nil {
			t.Errorf("systemd does not take the service: %s", out)
		}
	}
}

func TestAnotherProgramIsNotRun(t *testing.T) {
	root, called := boot(t, &machine{program: "something else"}, strings.Repeat("0", 64))
	if strings.TrimSpace(called) != "" || strings.Contains(called, "start") {
		t.Errorf("a program that is not the deployed one: %q", called)
	}
	if _, err := os.Stat(filepath.Join(root, "etc/systemd/system/spillway.service")); err == nil {
		t.Error("it has a service")
	}
}
