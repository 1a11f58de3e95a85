package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var composeBin = flag.String("docker-compose", "", "docker compose to compare podc with; empty: the one on PATH")

// rival is a program with the command line of docker compose: podc, or docker compose itself on a Docker engine.
type rival struct {
	name string
	cmd  func(ctx context.Context, args ...string) *exec.Cmd
}

// rivals are both of them, in the folder of s. Without a Docker engine there is nothing to compare with.
func rivals(t *testing.T, s *stack) (podc, docker rival) {
	t.Helper()
	path := *composeBin
	if path == "" {
		var err error
		if path, err = exec.LookPath("docker-compose"); err != nil {
			t.Skip("needs docker compose as the program docker-compose, or -docker-compose, to compare podc with")
		}
	}
	if err := engineAnswers(t); err != nil && os.Getenv("DOCKER_HOST") == "" {
		t.Skip("needs a Docker engine to compare podc with: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	docker = rival{"docker", func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Dir, cmd.Env = s.dir, os.Environ()
		return cmd
	}}
	t.Cleanup(func() { docker.run(t, "down", "-v", "--remove-orphans", "-t", "0") })
	return rival{"podc", func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := s.cmd(ctx, args...)
		// With the variable docker answers from labels whatever the file says; the folder has the same name.
		cmd.Env = slices.DeleteFunc(cmd.Env, func(kv string) bool { return strings.HasPrefix(kv, "COMPOSE_PROJECT_NAME=") })
		return cmd
	}}, docker
}

// dockerClient speaks to the engine that DOCKER_HOST names, or to the usual one.
func dockerClient() *http.Client {
	socket := strings.TrimPrefix(os.Getenv("DOCKER_HOST"), "unix://")
	if socket == "" {
		socket = "/var/run/docker.sock"
	}
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
}

func engineAnswers(t *testing.T) error {
	res, err := dockerClient().Get("http://docker/_ping")
	if err == nil {
		res.Body.Close()
	}
	return err
}

// loadDocker gives the engine a test image.
func loadDocker(t *testing.T, image string) {
	t.Helper()
	f, err := os.Open(archiveOf(t, image))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	res, err := dockerClient().Post("http://docker/images/load?quiet=1", "application/x-tar", f)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
}

// outcome is what a command did.
type outcome struct {
	out, err string
	code     int
}

func (r rival) run(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandDeadline)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := r.cmd(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	return outcome{code: exitCode(cmd.Run()), out: out.String(), err: errs.String()}
}

const compared = `
services:
  db:
    image: localhost/podc-busybox
    command: sh -c 'echo db is up; exec sleep 1000'
    stop_signal: SIGKILL
    labels: {mine: "yes"}
    healthcheck: {test: 'true', interval: 200ms}
    volumes: ['data:/data']
  web:
    image: localhost/podc-busybox
    command: sh -c 'echo web is up; exec sleep 1000'
    stop_signal: SIGKILL
    ports: ['127.0.0.1:${PORT}:80', '81']
    deploy: {replicas: 2}
    depends_on: {db: {condition: service_healthy, restart: true}}
    networks: [default, inner]
  named: {image: localhost/podc-busybox, container_name: my-name, command: sh -c 'echo named is up; exit 3'}
  off: {image: localhost/podc-busybox, profiles: [off]}
networks: {inner: {internal: true}}
volumes: {data: {}}
`

// unordered sorts what commas part, in each line.
func unordered(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		parts := strings.Split(line, ",")
		slices.Sort(parts)
		lines[i] = strings.Join(parts, ",")
	}
	return strings.Join(lines, "\n")
}

// The same file and the same commands give the same names, labels, exit codes and answers with docker compose on a Docker
// engine. What is meant to differ is in docs/differences.md.
func TestLikeDockerCompose(t *testing.T) {
	file := strings.Replace(compared, "'127.0.0.1:${PORT}:80', ", "", 1)
	s := newStack(t, file)
	podc, docker := rivals(t, s)
	s.load("busybox")
	loadDocker(t, "busybox")
	both := func(s *stack, args ...string) (p, d outcome) {
		s.t.Helper()
		p, d = podc.run(s.t, args...), docker.run(s.t, args...)
		want := d.code
		if row, differs := codesThatDiffer[strings.Join(args, " ")]; differs {
			want = row.code
		}
		if p.code != want {
			s.t.Errorf("%q: podc ends with %d, docker with %d\n%s%s\n%s%s", args, p.code, d.code, p.out, p.err, d.out, d.err)
		}
		return p, d
	}
	same := func(s *stack, args ...string) {
		s.t.Helper()
		if p, d := both(s, args...); p.out != d.out {
			s.t.Errorf("%q:\npodc   %q\ndocker %q", args, p.out, d.out)
		}
	}
	both(s, "up", "-d")
	s.behaves("names of containers, networks and volumes", func(s *stack) {
		same(s, "ps", "-a", "--format", "{{.Name}} {{.Service}} {{.State}} {{.ExitCode}} {{.Health}} {{.Project}} {{.Image}}")
		same(s, "ps", "-a", "--services")
		same(s, "ps", "--format", "{{.LocalVolumes}} {{.Names}} {{.Command}}")
		p, d := both(s, "ps", "--format", "{{.Name}},{{.Networks}}") // docker has them in any order
		if got, want := unordered(p.out), unordered(d.out); got != want {
			s.t.Errorf("networks are\n%sand with docker\n%s", got, want)
		}
		same(s, "ps", "--status", "exited", "--format", "{{.Name}}")
	})
	s.behaves("keys of ps, ls and images as JSON", func(s *stack) {
		for _, args := range [][]string{{"ps", "-a", "--format", "json"}, {"ls", "--format", "json"}, {"images", "--format", "json"}} {
			p, d := both(s, args...)
			if got, want := keysOf(s.t, p.out), keysOf(s.t, d.out); !slices.Equal(got, want) && !subset(want, got) {
				s.t.Errorf("%q: podc has %q, docker %q", args, got, want)
			}
		}
		same(s, "ls", "--format", "json", "--filter", "name=^"+s.name+"$")
	})
	s.behaves("labels of containers", func(s *stack) {
		p, d := both(s, "ps", "-a", "--format", "json")
		got, want := labelsOf(s.t, p.out), labelsOf(s.t, d.out)
		for name, labels := range want {
			for key, value := range labels {
				if _, differs := labelsThatDiffer[key]; !differs && got[name][key] != value {
					s.t.Errorf("%s: label %s is %q, with docker %q", name, key, got[name][key], value)
				} else if differs && key != "com.docker.compose.replace" && got[name][key] == "" {
					s.t.Errorf("%s lacks label %s", name, key)
				}
			}
		}
	})
	s.behaves("exit codes", func(s *stack) {
		for _, args := range [][]string{
			{"up", "-d", "nobody"}, {"exec", "-T", "db", "false"}, {"exec", "-T", "db", "sh", "-c", "exit 42"}, {"exec", "-T", "db", "no-such-program"},
			{"exec", "-T", "db", "/etc/passwd"}, {"exec", "-T", "named", "true"}, {"exec", "-T", "nobody", "true"}, {"exec", "-T", "db", "sh", "-c", "kill -9 $$"},
			{"run", "--rm", "-T", "db", "true"}, {"run", "--rm", "-T", "db", "sh", "-c", "exit 7"}, {"run", "--rm", "-T", "db", "no-such-program"}, {"run", "nobody"},
			{"ps", "nobody"}, {"logs", "nobody"}, {"stop", "nobody"}, {"start", "nobody"}, {"restart", "nobody"}, {"kill", "nobody"}, {"rm", "-f", "nobody"},
			{"port", "web", "81"}, {"port", "web", "99"}, {"top"}, {"config", "-q"}, {"config", "--services", "nobody"}, {"--nonsense"}, {"up", "--nonsense"},
			{"-f", "none.yaml", "ps"}, {"up", "-d", "--scale", "nobody=1"}, {"up", "--no-recreate", "--force-recreate"}, {"down", "--rmi", "some"},
			{"kill", "-s", "WINCH"}, {"rm", "-f"}, {"pause", "db"}, {"unpause", "db"}, {"--progress", "dots", "ps"}, {"--ansi", "never", "--progress", "tty", "ps"},
			{"version"}, {"version", "--short"}, {"-p", "Not/Valid", "ps"},
		} {
			both(s, args...)
		}
	})
	s.behaves("what config says", func(s *stack) {
		for _, args := range [][]string{
			{"config", "--services"}, {"config", "--volumes"}, {"config", "--images"}, {"config", "--profiles"},
			{"--profile", "off", "config", "--services"}, {"config", "--format", "json"}, {"config"},
		} {
			p, d := both(s, args...)
			if p, d := sortedLines(p.out), sortedLines(d.out); len(args) < 3 && args[len(args)-1] != "config" && p != d {
				s.t.Errorf("%q: podc %q, docker %q", args, p, d)
			}
		}
		var p, d any
		po, do := both(s, "config", "--format", "json")
		if json.Unmarshal([]byte(po.out), &p) != nil || json.Unmarshal([]byte(do.out), &d) != nil || fmt.Sprint(p) != fmt.Sprint(d) {
			s.t.Errorf("config:\npodc   %v\ndocker %v", p, d)
		}
	})
	s.behaves("prefixes of logs", func(s *stack) {
		widths := regexp.MustCompile(` +\|`) // docker's grow as containers appear
		for _, args := range [][]string{{"logs", "--no-color"}, {"logs", "--no-color", "--no-log-prefix", "db"}, {"logs", "--no-color", "--tail", "1", "web"}} {
			if p, d := both(s, args...); sortedLines(widths.ReplaceAllString(p.out, " |")) != sortedLines(widths.ReplaceAllString(d.out, " |")) {
				s.t.Errorf("%q:\npodc   %q\ndocker %q", args, p.out, d.out)
			}
		}
	})
	s.behaves("events", func(s *stack) {
		got, want := eventsOf(s, podc), eventsOf(s, docker)
		if !subset(want, got) || len(want) == 0 {
			s.t.Errorf("podc tells %q, docker %q", got, want)
		}
	})
	s.behaves("ends of an attached up", func(s *stack) {
		s.write("compose.yaml", "services: {a: {image: localhost/podc-busybox, command: \"sh -c 'echo hello; exit 5'\"}, b: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}}")
		for _, args := range [][]string{
			{"up", "--remove-orphans", "--abort-on-container-exit"}, {"up", "--abort-on-container-failure"}, {"up", "--exit-code-from", "a"}, {"up", "--exit-code-from", "b"}, {"up", "a"},
		} {
			p, d := both(s, args...)
			line := regexp.MustCompile(`(?m)^a-1 +\| hello$`)
			if line.MatchString(p.out) != line.MatchString(d.out) {
				s.t.Errorf("%q:\npodc   %q\ndocker %q", args, p.out, d.out)
			}
		}
		both(s, "up", "-d", "--wait", "b")
		both(s, "down", "-v")
		both(s, "down")
		both(s, "kill")
		both(s, "rm", "-f")
	})
	s.write("compose.yaml", file) // which the end is of
}

// labelsThatDiffer are those whose values are each program's own, with the row of docs/differences.md.
var labelsThatDiffer = map[string]string{
	"com.docker.compose.version":     "labels `com.docker.compose.version`, `com.docker.compose.image`",
	"com.docker.compose.image":       "labels `com.docker.compose.version`, `com.docker.compose.image`",
	"com.docker.compose.config-hash": "`com.docker.compose.config-hash`",
	"com.docker.compose.replace":     "replacing a container",
}

// codesThatDiffer are podc's where docker's are others, with the row of docs/differences.md.
var codesThatDiffer = map[string]struct {
	code    int
	differs string
}{
	"exec -T db no-such-program":     {127, "exit code of `exec` and `run` for a program that is not there"},
	"run --rm -T db no-such-program": {127, "exit code of `exec` and `run` for a program that is not there"},
	"run --rm -T db /etc/passwd":     {126, "exit code of `exec` and `run` for a program that is not there"},
	"config --services nobody":       {1, "`config SERVICE` with an unknown service and `--services`"},
	"-p Not/Valid ps":                {1, "`-p` with a name that is not valid, and no file needed"},
}

func keysOf(t *testing.T, out string) []string {
	t.Helper()
	found := map[string]bool{}
	for _, o := range objectsOf(t, out) {
		for k := range o {
			found[k] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// objectsOf reads objects, one a line or all in a list.
func objectsOf(t *testing.T, out string) []map[string]any {
	t.Helper()
	var list []map[string]any
	if json.Unmarshal([]byte(out), &list) == nil {
		return list
	}
	for line := range strings.Lines(out) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, o)
	}
	return list
}

func labelsOf(t *testing.T, out string) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for _, o := range objectsOf(t, out) {
		labels := map[string]string{}
		last := ""
		for _, part := range strings.Split(fmt.Sprint(o["Labels"]), ",") {
			if key, value, ok := strings.Cut(part, "="); ok {
				labels[key], last = value, key
			} else {
				labels[last] += "," + part // a value with a comma in it
			}
		}
		all[fmt.Sprint(o["Name"])] = labels
	}
	return all
}

// subset reports whether all of a are in b.
func subset(a, b []string) bool {
	for _, x := range a {
		if !slices.Contains(b, x) {
			return false
		}
	}
	return true
}

func sortedLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// eventsOf stops and starts a service and returns what happened to it meanwhile.
func eventsOf(s *stack, r rival) []string {
	s.t.Helper()
	since := time.Now().Format(time.RFC3339Nano)
	for _, args := range [][]string{{"stop", "web"}, {"start", "web"}, {"kill", "web"}, {"up", "-d", "--scale", "web=1"}} {
		if o := r.run(s.t, args...); o.code != 0 {
			s.t.Fatalf("%s %q: %s", r.name, args, o.err)
		}
	}
	o := r.run(s.t, "events", "--json", "--since", since, "--until", time.Now().Format(time.RFC3339Nano), "web")
	found := map[string]bool{}
	for _, e := range objectsOf(s.t, o.out) {
		if e["type"] == "container" {
			found[fmt.Sprint(e["service"], " ", e["action"])] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
