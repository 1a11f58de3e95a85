package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ids maps containers to their ids: what changed shows in it.
func (s *stack) ids() map[string]string {
	s.t.Helper()
	ids := map[string]string{}
	for name, r := range s.ps() {
		ids[name] = r.ID
	}
	return ids
}

// changed lists the containers that came, went or were replaced since before.
func (s *stack) changed(before map[string]string) []string {
	s.t.Helper()
	after := s.ids()
	var names []string
	for name := range before {
		if after[name] != before[name] {
			names = append(names, name)
		}
	}
	for name := range after {
		if before[name] == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// onlyChanged checks which containers came, went or were replaced since before.
func (s *stack) onlyChanged(before map[string]string, want ...string) {
	s.t.Helper()
	slices.Sort(want)
	if got := s.changed(before); !slices.Equal(got, want) {
		s.t.Errorf("changed %v, want %v", got, want)
	}
}

const trio = `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  db: {<<: *sleep, volumes: ['data:/data']}
  web: {<<: *sleep, depends_on: [db], scale: 2}
  tool: {<<: *sleep, profiles: [tools]}
volumes: {data: {}}
`

func TestUp(t *testing.T) {
	s := newStack(t, trio)
	s.load("busybox")
	s.behaves("--dry-run changes nothing and says what it would do", func(s *stack) {
		files := func() string {
			out, err := runShell(s.t, `for d in "$0" "$1"; do test -e $d && find $d -path '*/storage' -prune -o -path '*/memo*' -prune -o -type f -print; done | grep -v '[.]lock$\|/key$' || true`, s.root, s.run)
			if err != nil {
				s.t.Fatal(out)
			}
			return out
		}
		before := files()
		out := s.podcErr("--dry-run", "up", "-d")
		contains(s.t, out, "DRY-RUN MODE", "p-db-1", "p-web-2", "p_default", "p_data")
		contains(s.t, s.podcErr("up", "-d", "--dry-run"), "DRY-RUN MODE")
		if after := files(); after != before {
			s.t.Errorf("from %s to %s", before, after)
		}
		if rows := s.ps(); len(rows) != 0 {
			s.t.Errorf("made %v", rows)
		}
	})
	s.behaves("--no-start only creates", func(s *stack) {
		s.podc("up", "--no-start")
		for name, r := range s.ps() {
			if r.State != "created" {
				s.t.Errorf("%s is %s", name, r.State)
			}
		}
		s.podc("up", "-d")
		for name, r := range s.ps() {
			if r.State != "running" {
				s.t.Errorf("%s is %s", name, r.State)
			}
		}
	})
	s.behaves("--scale makes and removes replicas, the highest first", func(s *stack) {
		before := s.ids()
		s.podc("up", "-d", "--scale", "web=4")
		s.onlyChanged(before, "p-web-3", "p-web-4")
		s.podc("up", "-d", "--scale", "web=1")
		s.onlyChanged(before, "p-web-2")
		s.podc("up", "-d", "--scale", "web=0", "web")
		s.onlyChanged(before, "p-web-1", "p-web-2")
		s.podc("up", "-d")
		if rows := s.ps(); len(rows) != 3 {
			s.t.Errorf("it is %v", slices.Sorted(maps.Keys(rows)))
		}
		s.fails(1, "up", "-d", "--scale", "web=-1")
		s.fails(1, "up", "-d", "--scale", "nobody=1")
		s.fails(1, "up", "-d", "--scale", "web")
	})
	s.behaves("--force-recreate replaces all that is named, dependencies only if asked for", func(s *stack) {
		before := s.ids()
		s.podc("up", "-d", "--force-recreate", "web")
		s.onlyChanged(before, "p-web-1", "p-web-2")
		before = s.ids()
		s.podc("up", "-d", "--force-recreate", "--always-recreate-deps", "web")
		s.onlyChanged(before, "p-web-1", "p-web-2", "p-db-1")
	})
	s.behaves("--no-recreate leaves what is there, and makes what is missing", func(s *stack) {
		before := s.ids()
		s.write("compose.yaml", strings.ReplaceAll(trio, "sleep 1000", "sleep 2000"))
		s.podc("up", "-d", "--no-recreate", "--scale", "web=3")
		s.onlyChanged(before, "p-web-3")
		s.write("compose.yaml", trio)
		s.podc("up", "-d")
	})
	s.behaves("starts what has stopped, and replaces what somebody removed", func(s *stack) {
		before := s.ids()
		s.podc("kill", "db")
		s.podc("rm", "-f", "-s", "web")
		s.podc("up", "-d")
		s.onlyChanged(before, "p-web-1", "p-web-2")
		if state := s.ps()["p-db-1"].State; state != "running" {
			s.t.Errorf("db is %s", state)
		}
	})
	s.behaves("a service of a profile comes with the profile, or by name", func(s *stack) {
		before := s.ids()
		s.podc("--profile", "tools", "up", "-d")
		s.onlyChanged(before, "p-tool-1")
		s.podc("up", "-d")
		s.onlyChanged(before, "p-tool-1") // not an orphan: only its profile is off
		s.podc("rm", "-s", "-f", "tool")
		s.podc("up", "-d", "tool")
		s.onlyChanged(before, "p-tool-1")
		s.podc("--profile", "*", "rm", "-s", "-f", "tool")
		s.env = []string{"COMPOSE_PROFILES=other,tools"}
		s.podc("up", "-d")
		s.onlyChanged(before, "p-tool-1")
	})
	s.behaves("orphans are named, and removed where asked for", func(s *stack) {
		s.write("compose.yaml", strings.Replace(trio, "\n  tool:", "\n  gone:", 1))
		before := s.ids()
		contains(s.t, s.podcErr("up", "-d"), "p-tool-1", "--remove-orphans")
		s.env = append(s.env, "COMPOSE_IGNORE_ORPHANS=1")
		if out := s.podcErr("up", "-d"); strings.Contains(out, "p-tool-1") {
			s.t.Errorf("it says %s", out)
		}
		s.env = []string{"COMPOSE_REMOVE_ORPHANS=1"}
		s.podc("up", "-d")
		s.onlyChanged(before, "p-tool-1")
		s.env = nil
		s.write("compose.yaml", trio)
	})
	s.behaves("a network that changes takes along only who is on it", func(s *stack) {
		with := func(internal bool) string {
			return trio + fmt.Sprintf("  loner: {}\nnetworks: {own: {internal: %t}}\n", internal)
		}
		text := func(internal bool) string {
			return strings.Replace(strings.Replace(with(internal), "  loner: {}\n", "", 1), "  tool:", "  loner: {<<: *sleep, networks: [own]}\n  tool:", 1)
		}
		s.write("compose.yaml", text(false))
		s.podc("up", "-d")
		before := s.ids()
		s.write("compose.yaml", text(true))
		s.podc("up", "-d")
		for _, name := range s.changed(before) {
			if name != "p-loner-1" {
				s.t.Errorf("%s was changed", name)
			}
		}
		s.says("loner", "ip route | grep -c default || true", "0")
	})
	s.behaves("a volume that changes is only replaced with consent", func(s *stack) {
		s.sh("db", "echo precious > /data/x")
		s.write("compose.yaml", strings.Replace(trio, "data: {}", "data: {labels: {a: b}}", 1))
		s.podc("up", "-d", "--remove-orphans")
		s.says("db", "cat /data/x", "precious")
		s.podc("up", "-d", "-y")
		s.says("db", "ls /data | wc -l", "0")
	})
	s.behaves("what is wrong is refused before anything is made", func(s *stack) {
		s.podc("down", "-v", "--remove-orphans")
		for want, text := range map[string]string{
			"a -> b -> a":               "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}",
			"comand":                    "services: {a: {image: x, comand: y}}",
			"gpus":                      "services: {a: {image: x, gpus: all}}",
			"none.env":                  "services: {a: {image: x, env_file: none.env}}",
			"VARIABLE":                  "services: {a: {image: '${VARIABLE:?must be set}'}}",
			"nowhere":                   "services: {a: {image: x, networks: [nowhere]}}",
			"no-such-image":             "services: {a: {image: localhost/no-such-image, pull_policy: never}}",
			"ports":                     "services: {a: {image: localhost/podc-busybox, ports: ['1234:1']}, b: {image: localhost/podc-busybox, ports: ['1234:2']}}",
			"/nowhere":                  "services: {a: {image: localhost/podc-busybox, volumes: [{type: bind, source: /nowhere, target: /x, bind: {create_host_path: false}}]}}",
			"/dev/none":                 "services: {a: {image: localhost/podc-busybox, devices: [/dev/none]}}",
			`"FLY"`:                     "services: {a: {image: localhost/podc-busybox, cap_add: [FLY]}}",
			"is not one of this kernel": "services: {a: {image: localhost/podc-busybox, sysctls: {net.no.such: 1}}}",
		} {
			s.write("compose.yaml", text)
			out := s.fails(1, "up", "-d")
			contains(s.t, out, want)
			if strings.Contains(out, "goroutine") {
				s.t.Errorf("it panics: %s", out)
			}
			if entries, _ := os.ReadDir(filepath.Join(s.root, "networks")); len(entries) > 0 {
				s.t.Errorf("%s: a network was made", want)
			}
			if made := s.podc("-p", "p", "ps", "-a", "-q"); made != "" {
				s.t.Errorf("%s: made %v", want, made)
			}
			s.podc("-p", "p", "down")
		}
		s.write("compose.yaml", trio)
		contains(s.t, s.fails(1, "up", "-d", "nobody"), "no such service: nobody")
		s.fails(1, "up", "--no-such-flag")
		s.fails(1, "no-such-command")
	})
}
