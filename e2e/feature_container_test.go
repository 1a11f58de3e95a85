package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// lines are the words of a list, each line one.
func lines(out string) string { return strings.Join(strings.Fields(out), " ") }

// names lists containers by filters, the newest first.
func (s *stack) containers(args ...string) string {
	s.t.Helper()
	return lines(s.podc(append([]string{"container", "ls", "--format", "{{.Names}}"}, args...)...))
}

// inspect is one container as JSON has it.
func (s *stack) inspect(name string) map[string]any {
	s.t.Helper()
	var found []map[string]any
	if err := json.Unmarshal([]byte(s.podc("container", "inspect", name)), &found); err != nil || len(found) != 1 {
		s.t.Fatalf("inspect %s: %v", name, err)
	}
	return found[0]
}

func TestContainerCommands(t *testing.T) {
	port := freePort(t)
	s := newStack(t, fmt.Sprintf(`
services:
  a:
    image: localhost/podc-busybox
    command: sh -c 'trap "exit 7" TERM; echo out; echo err >&2; while :; do [ -e /data/say ] && echo said; sleep 0.05; done'
    ports: ['127.0.0.1:%d:8000']
    volumes: ['data:/data', './x:/bound:ro']
    networks: [one, two]
    labels: {team: shop}
    healthcheck: {test: 'true', interval: 1s, start_interval: 50ms, start_period: 10s}
    restart: on-failure:5
    mem_limit: 64m
  b: {image: localhost/podc-busybox, command: sh -c 'echo bye; exit 3', networks: [one]}
  c: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, network_mode: 'service:a'}
networks: {one: {}, two: {}}
volumes: {data: {}}
`, port), "x/file", "1")
	s.load("busybox")
	for _, service := range []string{"a", "c", "b"} { // one after the other, so that the order is known
		s.podc("up", "-d", "--no-deps", service)
	}
	s.podc("start", "--wait", "a")
	s.podc("container", "wait", "p-b-1")
	aID, cID := s.inspect("p-a-1")["Id"].(string), s.inspect("p-c-1")["Id"].(string)

	s.behaves("lists what runs, the newest first", func(s *stack) {
		if got := s.containers(); got != "p-c-1 p-a-1" {
			s.t.Errorf("running: %q", got)
		}
		if got := s.containers("-a"); !strings.Contains(got, "p-b-1") {
			s.t.Errorf("all: %q", got)
		}
		if got := s.containers("-l"); got != "p-b-1" {
			s.t.Errorf("latest: %q", got)
		}
		if got := strings.Fields(s.containers("-n", "2")); len(got) != 2 || got[0] != "p-b-1" {
			s.t.Errorf("last two: %q", got)
		}
		contains(s.t, s.podc("container", "ls"), "CONTAINER ID", "p-a-1", "(healthy)", fmt.Sprintf("127.0.0.1:%d->8000/tcp", port))
		contains(s.t, s.podc("container", "ls", "-s"), "SIZE", "virtual")
		if got := lines(s.podc("container", "ps", "-q", "--no-trunc")); !strings.Contains(got, aID) {
			s.t.Errorf("ids: %q", got)
		}
		if got := lines(s.podc("container", "ls", "-q", "-f", "name=p-a")); got != aID[:12] {
			s.t.Errorf("short ids: %q", got)
		}
		var row map[string]string
		if err := json.Unmarshal([]byte(s.podc("container", "ls", "--format", "json", "-f", "name=a-1")), &row); err != nil ||
			row["Names"] != "p-a-1" || row["State"] != "running" || row["Networks"] != "p_one,p_two" || row["HealthStatus"] != "healthy" {
			s.t.Errorf("%v: %v", err, row)
		}
	})
	s.behaves("filters as docker does", func(s *stack) {
		for filter, want := range map[string]string{
			"id=" + aID[:8]: "p-a-1", "name=^p-a": "p-a-1", "name=^/p-c": "p-c-1", "label=team": "p-a-1", "label=team=shop": "p-a-1",
			"label=team=other": "", "status=exited": "p-b-1", "status=running": "p-c-1 p-a-1", "health=healthy": "p-a-1", "exited=3": "p-b-1",
			"exited=0": "", "network=p_two": "p-a-1", "volume=p_data": "p-a-1", "volume=/bound": "p-a-1", "ancestor=localhost/podc-busybox": "p-b-1 p-c-1 p-a-1",
			"ancestor=nothing": "", "before=p-c-1": "p-a-1", "since=" + cID: "p-b-1", fmt.Sprintf("publish=%d", port): "p-a-1", "expose=7000-8000/tcp": "p-a-1",
			"expose=8000/udp": "", "label!=team": "p-b-1 p-c-1",
		} {
			if got := s.containers("-a", "-f", filter); got != want {
				s.t.Errorf("%s: %q, want %q", filter, got, want)
			}
		}
		for _, bad := range []string{"status=odd", "exited=x", "before=nobody", "publish=x", "is-task=true", "isolation=x", "health=x", "name=("} {
			contains(s.t, s.fails(1, "container", "ls", "-f", bad), strings.SplitN(bad, "=", 2)[1])
		}
	})
	s.behaves("tells all about a container, by name, id or its beginning", func(s *stack) {
		for _, ref := range []string{"p-a-1", aID, aID[:6]} {
			if got := s.inspect(ref)["Id"]; got != aID {
				s.t.Errorf("%s is %v", ref, got)
			}
		}
		for format, want := range map[string]string{
			"{{.Name}} {{.State.Status}} {{.State.Health.Status}}":                               "/p-a-1 running healthy",
			`{{index .Config.Labels "team"}} {{.HostConfig.Memory}}`:                             "shop 67108864",
			`{{(index (index .NetworkSettings.Ports "8000/tcp") 0).HostPort}}`:                   fmt.Sprint(port),
			"{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}": "on-failure:5",
			"{{range .Mounts}}{{.Destination}}={{.Name}}{{.RW}} {{end}}":                         "/data=p_datatrue /bound=false ",
			"{{len .NetworkSettings.Networks}} {{.State.Pid}}":                                   fmt.Sprintf("2 %d", s.pid("p-a-1")),
			"{{.NetworkSettings.Networks.p_one.IPAddress}}":                                      s.exec("a", "sh", "-c", "hostname -i | tr ' ' '\\n' | head -1"),
		} {
			if got := s.podc("container", "inspect", "-f", format, "p-a-1"); strings.TrimSuffix(got, "\n") != want {
				s.t.Errorf("%s: %q, want %q", format, got, want)
			}
		}
		if b, err := os.ReadFile(s.inspect("p-a-1")["LogPath"].(string)); err != nil || !strings.Contains(string(b), "out") {
			s.t.Errorf("its log: %v", err)
		}
		if got := s.podc("container", "inspect", "-f", "{{.HostConfig.NetworkMode}}", "p-c-1"); got != "container:"+aID+"\n" {
			s.t.Errorf("c has the network of %q", got)
		}
		if got := s.podc("container", "inspect", "-f", "{{.State.ExitCode}} {{.State.Running}}", "p-b-1"); got != "3 false\n" {
			s.t.Errorf("b ended with %q", got)
		}
		if _, ok := s.inspect("p-a-1")["SizeRw"]; ok {
			s.t.Error("nobody asked for a size")
		}
		contains(s.t, s.podc("container", "inspect", "-s", "p-a-1"), `"SizeRw"`, `"SizeRootFs"`)
		out := s.fails(1, "container", "inspect", "p-a-1", "nobody")
		contains(s.t, out, `"/p-a-1"`, "no such container: nobody")
		s.fails(1, "container", "inspect", "-f", "{{.Nope}}", "p-a-1")
	})
	s.behaves("runs commands inside", func(s *stack) {
		s.write("vars", "# none\nFROM=file\nCALLER\n")
		s.env = []string{"CALLER=me"}
		if got := s.podc("container", "exec", "--env-file", "vars", "-e", "A=1", "-w", "/data", "-u", "1:2", aID[:10], "sh", "-c", "echo $FROM $CALLER $A $PWD $(id -u):$(id -g)"); got != "file me 1 /data 1:2\n" {
			s.t.Errorf("it printed %q", got)
		}
		s.fails(42, "container", "exec", "p-a-1", "sh", "-c", "exit 42")
		s.podc("container", "exec", "-d", "p-a-1", "touch", "/data/detached")
		eventually(s.t, commandDeadline, func() error {
			_, err := os.Stat(filepath.Join(s.root, "volumes/p_data/_data/detached"))
			return err
		})
		cmd := s.cmd(s.t.Context(), "container", "exec", "-i", "p-a-1", "cat")
		cmd.Stdin = strings.NewReader("passed on")
		if out, err := cmd.Output(); err != nil || string(out) != "passed on" {
			s.t.Errorf("%q, %v", out, err)
		}
		s.podc("container", "exec", "--privileged", "p-a-1", "sh", "-c", "test $(grep CapEff /proc/self/status | cut -f2) != $(grep CapEff /proc/1/status | cut -f2)")
		contains(s.t, s.fails(1, "container", "exec", "--detach-keys", "ctrl-x", "p-a-1", "true"), "--detach-keys")
		contains(s.t, s.fails(1, "container", "exec", "p-b-1", "true"), "p-b-1", "not running")
	})
	s.behaves("shows output without names", func(s *stack) {
		if got := s.podc("container", "logs", "p-a-1"); got != "out\n" {
			s.t.Errorf("its output is %q", got)
		}
		if got := s.podc("container", "logs", "-t", "-n", "5", "--since", "1h", "p-a-1"); !strings.HasSuffix(got, "Z out\n") {
			s.t.Errorf("with times it is %q", got)
		}
		if got := s.podc("container", "logs", "--until", "1h", "p-a-1"); got != "" {
			s.t.Errorf("an hour ago it was %q", got)
		}
		if got := s.podc("container", "logs", "-f", "p-b-1"); got != "bye\n" { // and ends, since b has
			s.t.Errorf("followed to its end it is %q", got)
		}
		contains(s.t, s.fails(1, "container", "logs", "--details", "x", "p-a-1"), "--details")
	})
	s.behaves("says where ports are published", func(s *stack) {
		host := fmt.Sprintf("127.0.0.1:%d\n", port)
		if got := s.podc("container", "port", "p-a-1"); got != "8000/tcp -> "+host {
			s.t.Errorf("all: %q", got)
		}
		if got := s.podc("container", "port", "p-a-1", "8000"); got != host {
			s.t.Errorf("one: %q", got)
		}
		contains(s.t, s.fails(1, "container", "port", "p-a-1", "8000/udp"), "8000/udp", "p-a-1")
	})
	s.behaves("lists processes and what they use", func(s *stack) {
		contains(s.t, s.podc("container", "top", "p-c-1"), "PID", "CMD", "sleep 1000")
		contains(s.t, s.fails(1, "container", "top", "p-c-1", "aux"), "ps")
		var row map[string]string
		if err := json.Unmarshal([]byte(s.podc("container", "stats", "--no-stream", "--format", "json", "p-a-1")), &row); err != nil || row["Name"] != "p-a-1" || row["ID"] != aID[:12] {
			s.t.Errorf("%v: %v", err, row)
		}
		contains(s.t, s.podc("container", "stats", "--no-stream", "--no-trunc", "-a"), "p-a-1", "p-b-1", cID)
	})
	s.behaves("freezes and lets go on", func(s *stack) {
		s.podc("container", "pause", "p-c-1")
		if got := s.podc("container", "inspect", "-f", "{{.State.Status}} {{.State.Running}} {{.State.Paused}}", "p-c-1"); got != "paused true true\n" {
			s.t.Errorf("it is %q", got)
		}
		if got := s.containers("-f", "status=paused"); got != "p-c-1" {
			s.t.Errorf("paused are %q", got)
		}
		contains(s.t, s.fails(1, "container", "pause", "p-c-1"), "paused")
		s.podc("container", "unpause", "p-c-1")
		contains(s.t, s.fails(1, "container", "unpause", "p-c-1"), "not paused")
	})
	s.behaves("copies files in and out", func(s *stack) {
		s.podc("container", "cp", "-q", "p-a-1:/bound/file", "copy")
		if b, err := os.ReadFile(filepath.Join(s.dir, "copy")); err != nil || string(b) != "1" {
			s.t.Errorf("%q, %v", b, err)
		}
		if err := os.Symlink("copy", filepath.Join(s.dir, "link")); err != nil {
			s.t.Fatal(err)
		}
		s.podc("container", "cp", "-a", "-L", "link", aID[:9]+":/data/copied")
		s.says("a", "cat /data/copied; test ! -L /data/copied", "1")
		contains(s.t, s.fails(1, "container", "cp", "nobody:/x", "."), "no such container: nobody")
	})
	s.behaves("makes archives and images", func(s *stack) {
		s.podc("container", "export", "-o", "root.tar", "p-a-1")
		if out, err := exec.Command("tar", "-tf", filepath.Join(s.dir, "root.tar")).Output(); err != nil || !strings.Contains(string(out), "bin/busybox") {
			s.t.Errorf("%v: %.200s", err, out)
		}
		id := s.podc("container", "commit", "-p=false", "-a", "somebody", "-m", "as it is", "-c", "ENV MADE=1", "p-a-1", "localhost/made:1")
		if got := s.podc("image", "inspect", "-f", "{{.Id}} {{.Author}} {{.Comment}} {{index .Config.Env 0}}", "localhost/made:1"); !strings.HasPrefix(got, strings.TrimSpace(id)+" somebody as it is ") || !strings.Contains(s.podc("image", "inspect", "localhost/made:1"), "MADE=1") {
			s.t.Errorf("%s made %q", id, got)
		}
		s.podc("image", "rm", "localhost/made:1")
	})
	s.behaves("joins a container, and ends with it", func(s *stack) {
		joined := s.cmd(s.t.Context(), "container", "attach", "--no-stdin", "--sig-proxy=false", "--detach-keys", "ctrl-x", "p-a-1")
		out, err := joined.StdoutPipe()
		if err == nil {
			err = joined.Start()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		s.sh("a", "touch /data/say")
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "said\n" {
			s.t.Errorf("it shows %q, %v", line, err)
		}
		s.sh("a", "rm /data/say")
		s.podc("container", "stop", "p-a-1")
		if err := joined.Wait(); exitCode(err) != 7 {
			s.t.Errorf("it ended with %v", err)
		}
		s.podc("container", "start", "p-a-1")
	})
	s.behaves("waits, stops, kills, starts and restarts", func(s *stack) {
		contains(s.t, s.fails(1, "container", "start", "-a", "p-a-1"), "--attach")
		waiting := s.cmd(s.t.Context(), "container", "wait", "p-a-1")
		var code strings.Builder
		waiting.Stdout = &code
		if err := waiting.Start(); err != nil {
			s.t.Fatal(err)
		}
		if got := s.podc("container", "stop", aID[:8]); got != aID[:8]+"\n" {
			s.t.Errorf("stop printed %q", got)
		}
		if err := waiting.Wait(); err != nil || code.String() != "7\n" {
			s.t.Errorf("wait printed %q, %v", code.String(), err)
		}
		s.podc("container", "start", "p-a-1")
		s.podc("container", "stop", "-s", "KILL", "p-a-1")
		if got := s.ps()["p-a-1"]; got.ExitCode != 137 {
			s.t.Errorf("stopped by KILL it ended with %d", got.ExitCode)
		}
		s.podc("container", "start", "p-a-1")
		before := s.pid("p-a-1")
		s.podc("container", "restart", "-t", "0", "p-a-1")
		if s.pid("p-a-1") == before {
			s.t.Error("restart left it running")
		}
		s.podc("container", "kill", "-s", "KILL", "p-a-1")
		eventually(s.t, commandDeadline, func() error {
			if got := s.ps()["p-a-1"]; got.State != "exited" || got.ExitCode != 137 {
				return fmt.Errorf("it is %s (%d)", got.State, got.ExitCode)
			}
			return nil
		})
		contains(s.t, s.fails(1, "container", "kill", "p-a-1"), "p-a-1", "not running")
		out := s.fails(1, "container", "stop", "p-c-1", "nobody")
		contains(s.t, out, "p-c-1\n", "no such container: nobody")
		contains(s.t, s.fails(1, "container", "rename", "p-c-1", "x"), "rename", "name")
	})
	s.behaves("refuses --dry-run where there is no plan to show", func(s *stack) {
		for _, args := range [][]string{{"container", "rm", "-f", "p-c-1"}, {"network", "prune", "-f"}, {"volume", "rm", "p_data"}, {"image", "prune", "-a", "-f"}} {
			contains(s.t, s.fails(1, append([]string{"--dry-run"}, args...)...), "--dry-run", args[0]+" "+args[1])
		}
		if got := s.containers("-a"); !strings.Contains(got, "p-c-1") {
			s.t.Errorf("left are %q", got)
		}
	})
	s.behaves("removes, and forgives what is missing only with force", func(s *stack) {
		s.podc("container", "start", "p-a-1")
		contains(s.t, s.fails(1, "container", "rm", "p-a-1"), "p-a-1", "running")
		if got := s.podc("container", "rm", "-f", "-v", "p-a-1"); got != "p-a-1\n" {
			s.t.Errorf("rm printed %q", got)
		}
		contains(s.t, s.fails(1, "container", "rm", "p-a-1"), "no such container: p-a-1")
		s.podc("container", "rm", "-f", "p-a-1")
		contains(s.t, s.podc("container", "prune", "-f", "--filter", "label=team"), "Total reclaimed space: 0B")
		out, err := s.try("container", "prune")
		if err != nil || !strings.Contains(out, "--force") || !strings.Contains(s.containers("-a"), "p-b-1") {
			s.t.Errorf("it asked nobody and removed: %v %q", err, out)
		}
		contains(s.t, s.podc("container", "prune", "-f"), "Deleted Containers:", "Total reclaimed space:")
		if got := s.containers("-a"); got != "" {
			s.t.Errorf("left are %q", got)
		}
	})
}
