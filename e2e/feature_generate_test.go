package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// What `alpha generate` writes of containers brings up the same containers.
func TestAFileIsGeneratedFromContainers(t *testing.T) {
	s := newStack(t, `
services:
  web:
    image: localhost/podc-busybox
    command: ["sh", "-c", "echo $$HOME; exec sleep 1000"]
    environment: {COST: '5$$', B: two}
    stop_signal: SIGKILL
    restart: on-failure:2
    ports: ['127.0.0.1::80']
    volumes: ['data:/data', './here:/bound:ro']
    networks: {front: {aliases: [shop]}}
    labels: {mine: 'yes'}
    cap_drop: [CHOWN]
    mem_limit: 64m
    healthcheck: {test: 'true', interval: 500ms, retries: 2}
    secrets: [key]
  side: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, network_mode: 'service:web'}
networks: {front: {}}
volumes: {data: {}}
secrets: {key: {file: key.txt}}
`, "key.txt", "secret", "here/file", "x")
	s.load("busybox")
	s.podc("up", "-d")
	out, errs := s.both("alpha", "generate", "--name", "again", "p-web-1", "p-side-1")
	contains(t, errs, "/run/secrets/key")
	contains(t, out, "name: again", "container_name: p-web-1", "network_mode: service:web", "on-failure:2", "COST: 5$$")
	var m struct {
		Name     string
		Services map[string]struct {
			Command []string
			Labels  map[string]string
		}
	}
	asJSON := s.podc("alpha", "generate", "--format", "json", "--project-dir", filepath.Join(s.dir, "other"), "p-web-1")
	if err := json.Unmarshal([]byte(asJSON), &m); err != nil || m.Name != "other" || len(m.Services["web"].Labels) != 1 || len(m.Services["web"].Command) != 3 {
		t.Errorf("%v: %+v", err, m)
	}
	contains(t, s.fails(1, "alpha", "generate"), "generate")
	contains(t, s.fails(1, "alpha", "generate", "nobody"), "no such container: nobody")
	s.podc("rm", "-s", "-f")
	s.write("again.yaml", strings.ReplaceAll(out, "container_name: p-", "container_name: again-"))
	t.Cleanup(func() { s.podc("-f", "again.yaml", "-p", "again", "down") })
	s.podc("-f", "again.yaml", "-p", "again", "up", "-d", "--wait")
	in := *s
	in.name = "again"
	if got := in.podc("-f", "again.yaml", "-p", "again", "exec", "-T", "web", "sh", "-c", "echo $COST $B; cat /bound/file; ls /run/secrets 2>&1 | wc -l"); !strings.HasPrefix(got, "5$ two\nx") {
		t.Errorf("the new one says %q", got)
	}
	contains(t, s.podc("-f", "again.yaml", "-p", "again", "logs", "web"), "| /root")
}
