package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A compose file that cannot be used is no reason not to be able to look at what was made of it, or to take it down.
func TestABrokenFileIsNotInTheWay(t *testing.T) {
	t.Parallel()
	const good = `
services:
  web: {image: localhost/podc-busybox, command: "sh -c 'echo hello; exec sleep 1000'", stop_signal: SIGKILL}
  extra: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
volumes: {unused: {}}
`
	s := newStack(t, good)
	s.load("busybox")
	s.env = []string{"COMPOSE_PROJECT_NAME="}
	breaks := map[string]string{
		"no YAML":            good + "  [",
		"an unknown key":     good + "nonsense: 1",
		"a cycle":            strings.Replace(good, "services:", "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}", 1),
		"a missing file":     good + "include: [nowhere.yaml]",
		"a name taken twice": strings.ReplaceAll(good, "command: ", "container_name: same, command: "),
	}
	for what, broken := range breaks {
		s.behaves("by "+what, func(s *stack) {
			s.write("compose.yaml", good)
			s.podc("up", "-d")
			s.write("compose.yaml", broken)
			s.fails(1, "up", "-d")
			s.fails(1, "plan")
			contains(s.t, s.podc("logs", "--no-log-prefix", "web"), "hello\n")
			contains(s.t, s.podcErr("ps"), "warning: ", "what belongs to project p is told by labels")
			s.podc("stop", "extra")
			s.podc("rm", "-f", "extra")
			if rows := s.ps(); len(rows) != 1 || rows["p-web-1"].State != "running" {
				s.t.Errorf("there is %v", rows)
			}
			s.podc("down", "-v")
			if files, _ := os.ReadDir(filepath.Join(s.root, "pods")); len(files) > 0 {
				s.t.Errorf("left: %v", files)
			}
			// Nothing says any more which project that was, but for those who say it.
			contains(s.t, s.fails(1, "down"), "hint: ")
			s.podc("-p", "p", "-f", "compose.yaml", "ps")
			s.with("COMPOSE_PROJECT_NAME=p").podc("down")
			s.fails(1, "-p", "p", "-f", "not-there.yaml", "down")
		})
	}
}

// A file that states another name than what was made of it is about another project, whatever else is wrong with it.
func TestABrokenFileStatesItsName(t *testing.T) {
	t.Parallel()
	const good = "services:\n  web: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}\n"
	s := newStack(t, good)
	s.load("busybox")
	s.env = []string{"COMPOSE_PROJECT_NAME="}
	s.podc("up", "-d")
	for _, broken := range []string{"name: other\n" + good + "nonsense: 1\n", good + "name: \"other\" # not p\nvolumes: [\n"} {
		s.write("compose.yaml", broken)
		s.podc("down")
		if rows := s.with("COMPOSE_PROJECT_NAME=p").ps(); rows["p-web-1"].State != "running" {
			s.t.Errorf("there is %v", rows)
		}
	}
	s.with("COMPOSE_PROJECT_NAME=p").podc("down")
}

// What is taken is found before anything is made, with who has it.
func TestNamesThatAreTaken(t *testing.T) {
	t.Parallel()
	const compose = `
services:
  first: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
  web: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, container_name: taken, depends_on: [first]}
  one: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, container_name: same, profiles: [one]}
  two: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, container_name: same, profiles: [two]}
`
	s := newStack(t, compose)
	s.load("busybox")
	s.podc("-p", "other", "up", "-d", "web")
	holder := s.inspectID("taken")
	nothing := func(s *stack) {
		s.t.Helper()
		if rows := s.ps(); len(rows) > 0 {
			s.t.Errorf("made: %v", rows)
		}
	}
	s.behaves("container_name, by another project", func(s *stack) {
		want := fmt.Sprintf(`cannot create "taken": the container name "taken" is already in use by container %.12s of project "other"`, holder)
		for _, args := range [][]string{{"up", "-d"}, {"plan"}, {"create"}, {"run", "--rm", "--name", "taken", "first", "true"}} {
			contains(s.t, s.fails(1, args...), want)
			nothing(s)
		}
		for _, args := range [][]string{{"ps"}, {"logs"}, {"stop"}, {"rm", "-f"}, {"down", "-v"}} {
			s.podc(args...)
		}
	})
	s.behaves("container_name, by a service of a profile that is not active", func(s *stack) {
		s.podc("--profile", "two", "up", "-d", "two")
		contains(s.t, s.fails(1, "--profile", "one", "up", "-d", "one"), `the container name "same" is already in use by service two`, "podc rm -sf two")
		contains(s.t, s.fails(1, "--profile", "*", "up", "-d"), `"same" is the name of service "one" too`)
		contains(s.t, s.podc("--profile", "*", "ps"), "same")
		s.podc("--profile", "*", "down")
		nothing(s)
	})
	s.podc("-p", "other", "down", "-t", "0")
}

func TestVerbsHeedProfiles(t *testing.T) {
	t.Parallel()
	s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  web: {<<: *sleep, volumes: ['data:/data']}
  debug: {<<: *sleep, profiles: [debug], volumes: ['traces:/traces']}
volumes: {data: {}, traces: {}}
`)
	s.load("busybox")
	s.podc("--profile", "debug", "up", "-d")
	s.podc("volume", "create", "-l", "com.docker.compose.project=p", "p_mine")
	for _, verb := range [][]string{{"restart", "-t", "0"}, {"kill"}, {"rm", "-f"}} {
		before := s.ps()["p-debug-1"]
		s.podc(verb...)
		if now := s.ps()["p-debug-1"]; now.State != "running" || now.ID != before.ID {
			s.t.Errorf("after %s it is %v", verb, now)
		}
	}
	if _, there := s.ps()["p-web-1"]; there {
		t.Error("rm left the service without a profile")
	}
	contains(t, s.podcErr("down", "-v"), "--profile '*'")
	if out := s.podc("volume", "ls", "-q"); !strings.Contains(out, "p_traces") || strings.Contains(out, "p_data") {
		t.Errorf("after down -v there is %s", out)
	}
	s.podc("--profile", "debug", "down", "-v")
	if out := s.podc("volume", "ls", "-q"); out != "p_mine\n" {
		t.Errorf("there is %q", out)
	}
	s.podc("volume", "rm", "p_mine")
}

// inspectID is the id of a container.
func (s *stack) inspectID(name string) string {
	s.t.Helper()
	return strings.TrimSpace(s.podc("container", "inspect", "-f", "{{.Id}}", name))
}
