package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Whatever can be known to be wrong is refused with exit code 1 and a message that names it, before anything is made.
func TestBadInputIsRefusedBeforeAnythingIsMade(t *testing.T) {
	s := newStack(t, "services: {}\n")
	s.load("busybox")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, held := freePort(t), taken.Addr().(*net.TCPAddr).Port
	// Another project of the same root has a port, and is not touched by any refusal.
	s.write("other/compose.yaml", fmt.Sprintf("services: {web: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, ports: ['127.0.0.1:%d:80']}}\n", free))
	s.podc("-f", "other/compose.yaml", "-p", "other", "up", "-d")
	defer func() { s.podc("-p", "other", "down", "-v", "-t", "0") }()
	before := census(s)

	// Each service has a network, a volume and a working sibling, so that there would be something to make.
	service := func(keys string) string {
		return `
services:
  ok: {image: localhost/podc-busybox, command: sleep 1000, volumes: ['data:/data'], networks: [default, inner]}
  bad: {image: localhost/podc-busybox, command: sleep 1000, ` + keys + `}
networks: {inner: {}}
volumes: {data: {}}
`
	}
	for name, c := range map[string]struct {
		compose string
		args    []string
		want    []string
	}{
		"a cycle": {
			compose: "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n",
			want:    []string{"compose.yaml:2", "a -> b -> c -> a"},
		},
		"a dependency that is not declared": {compose: service("depends_on: [okay]"), want: []string{`"okay"`, `did you mean "ok"?`}},
		"a Dockerfile that is not there":    {compose: strings.Replace(service(""), "bad: {image: localhost/podc-busybox", "bad: {build: ., image: example.invalid/stranger", 1), want: []string{"/p/Dockerfile", "no such file"}},
		"a socket that is not there":        {compose: service("volumes: ['./dir/nosuch.sock:/x.sock']"), want: []string{"nosuch.sock", "is not made as a folder"}},
		"docker's socket":                   {compose: service("volumes: ['/var/run/docker.sock:/var/run/docker.sock']"), want: []string{"/var/run/docker.sock", "docker's API"}},
		"an unknown service":                {compose: service(""), args: []string{"nosuch"}, want: []string{"no such service: nosuch"}},
		"a mistyped key":                    {compose: service("comand: x"), want: []string{"services.bad.comand", `did you mean "command"?`}},
		"an unknown key":                    {compose: service("quux: x"), want: []string{"services.bad.quux", "unknown key"}},
		"a key that is not served yet":      {compose: service("use_api_socket: true"), want: []string{"services.bad.use_api_socket", "not served yet"}},
		"a value of a wrong type":           {compose: service("ports: {a: 3}"), want: []string{"services.bad.ports", "must be a list"}},
		"two services with one port": {
			compose: strings.Replace(service("ports: ['127.0.0.1:18099:80']"), "networks: [default", "ports: ['127.0.0.1:18099:81'], networks: [default", 1),
			want:    []string{"18099/tcp", `"bad"`, "services.ok.ports"},
		},
		"a port of another project": {
			compose: service(fmt.Sprintf("ports: ['127.0.0.1:%d:80']", free)),
			want:    []string{strconv.Itoa(free), `published by "other-web-1"`},
		},
		"a port of a program": {
			compose: service(fmt.Sprintf("ports: ['127.0.0.1:%d:80']", held)),
			want:    []string{strconv.Itoa(held), "in use by", fmt.Sprintf("pid %d", os.Getpid())},
		},
		"a missing env file":          {compose: service("env_file: nosuch.env"), want: []string{"services.bad.env_file", "nosuch.env"}},
		"a variable that is required": {compose: service("hostname: '${NOSUCH:?say who}'"), want: []string{"services.bad.hostname", "NOSUCH", "say who"}},
		"a broken interpolation":      {compose: service("hostname: '${NOSUCH'"), want: []string{"services.bad.hostname", "invalid variable"}},
		"an image that may not be pulled": {
			compose: strings.Replace(service("pull_policy: never"), "bad: {image: localhost/podc-busybox", "bad: {image: localhost/nosuch", 1),
			want:    []string{"localhost/nosuch", "pull_policy is never", "podc load"},
		},
		"a missing runtime":          {compose: service("runtime: nosuchruntime"), want: []string{`"nosuchruntime"`, "looked for in PATH and in /usr/local/sbin"}},
		"an external network":        {compose: strings.Replace(service(""), "inner: {}", "inner: {external: true}", 1), want: []string{"network inner declared as external", "podc network create inner"}},
		"a health that cannot be":    {compose: service("depends_on: {ok: {condition: service_healthy}}"), want: []string{"ok to be healthy", "no health check"}},
		"a file that is no YAML":     {compose: "services:\n  a: {image: [\n", want: []string{"compose.yaml"}},
		"a missing secret":           {compose: service("secrets: [key]") + "secrets: {key: {file: nosuch.key}}\n", want: []string{"nosuch.key"}},
		"an empty command":           {compose: strings.Replace(service(""), "command: sleep 1000, }", "command: ['']}", 1), want: []string{"no command to run", "bad-1"}},
		"an empty command of a hook": {compose: service("pre_start: [{command: ['']}]"), want: []string{"no command to run"}},
		"an impossible stop signal":  {compose: service("stop_signal: SIGNOSUCH"), want: []string{"SIGNOSUCH"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.write("compose.yaml", c.compose)
			s := *s
			s.t = t
			out := s.fails(1, append([]string{"up", "-d"}, c.args...)...)
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("the message lacks %q:\n%s", want, out)
				}
			}
			if strings.Contains(out, "panic") || strings.Contains(out, "goroutine ") {
				t.Errorf("podc broke:\n%s", out)
			}
			for _, made := range census(&s).minus(before) {
				t.Errorf("was made: %s", made)
			}
		})
	}
	s.write("compose.yaml", "services: {}\n")
}

// Programs that containers need are named with their packages before anything is made.
func TestMissingProgramsAreNamedWithTheirPackages(t *testing.T) {
	s := newStack(t, web)
	s.load("busybox")
	before := census(s)
	conmon, err := exec.LookPath("conmon")
	if err != nil {
		t.Skip(err)
	}
	crun, err := exec.LookPath("crun")
	if err != nil {
		t.Skip(err)
	}
	// In a mount namespace of their own they are no programs.
	podc := s.cmd(t.Context(), "up", "-d")
	cmd := exec.Command("unshare", "-m", "sh", "-ec", `: > no; chmod 644 no; for p in "$2" "$3"; do mount --bind no "$p"; done; exec "$1" up -d`, "sh", podc.Path, conmon, crun)
	cmd.Dir, cmd.Env = podc.Dir, podc.Env
	out, err := cmd.CombinedOutput()
	if exitCode(err) != 1 {
		t.Errorf("exit code %d", exitCode(err))
	}
	for _, want := range []string{`"conmon"`, "apt-get install conmon", `"crun"`, "apt-get install crun"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the message lacks %q:\n%s", want, out)
		}
	}
	for _, made := range census(s).minus(before) {
		t.Errorf("was made: %s", made)
	}
}

// A refusal of the runtime that podc could not foresee is explained, and leaves a pod that can be removed.
func TestWhatTheRuntimeRefusesIsExplained(t *testing.T) {
	s := newStack(t, web)
	s.load("busybox")
	s.program("crun", `#!/bin/sh
echo '{"msg":"cgroups in hybrid mode not supported, drop all controllers from cgroupv2","level":"error"}' >&2
echo 'cgroups in hybrid mode not supported, drop all controllers from cgroupv2' >&2
exit 1
`)
	out := s.fails(1, "up", "-d")
	for _, want := range []string{`cannot start "p-web-1"`, "hybrid cgroups", "go tool task setup"} {
		if !strings.Contains(out, want) {
			t.Errorf("the message lacks %q:\n%s", want, out)
		}
	}
	if r := s.ps()["p-web-1"]; r.State != "created" {
		t.Errorf("the pod is %q", r.State)
	}
	s.env = nil
	s.podc("up", "-d")
	if r := s.ps()["p-web-1"]; r.State != "running" {
		t.Errorf("with the real runtime the pod is %q", r.State)
	}
}

// program puts a program of that name before all others, for the commands of this stack.
func (s *stack) program(name, script string) {
	s.t.Helper()
	dir := filepath.Join(filepath.Dir(s.dir), "programs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, "PATH="+dir+":"+os.Getenv("PATH"))
}
