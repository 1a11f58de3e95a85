package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestHooks runs commands after starts and before stops.
func TestHooks(t *testing.T) {
	s := newStack(t, `
services:
  web:
    image: localhost/podc-busybox
    command: sleep 1000
    stop_signal: SIGKILL
    user: '7'
    environment: {OWN: container}
    volumes: ['./out:/out']
    post_start:
      - {command: [sh, -c, 'echo "1 $$OWN $$EXTRA $$(id -u) $$PWD" >> /out/log'], working_dir: /tmp, environment: {EXTRA: hook}}
      - {command: [sh, -c, 'echo "2 $$(id -u) $$(grep -c 0000003fffffffff /proc/self/status)" >> /out/log'], user: root}
      - {command: [sh, -c, 'echo "3 $$(sed -n s/CapBnd:.//p /proc/self/status)" >> /out/caps'], user: root, privileged: true}
    pre_stop: [{command: [sh, -c, 'echo stopping >> /out/log; test ! -e /out/stay']}]
  after: {image: localhost/podc-busybox, command: sh -c 'cat /out/log; sleep 1000', stop_signal: SIGKILL, volumes: ['./out:/out'], depends_on: [web]}
  failing: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, profiles: [bad], volumes: ['./out:/out'],
    post_start: [{command: [sh, -c, 'echo try >> /out/tries; echo no good >&2; test -e /out/good']}]}
  crashing: {image: localhost/podc-busybox, command: sh -c 'sleep 0.2; test -e /again && sleep 1000; touch /again; exit 1', stop_signal: SIGKILL, restart: always, volumes: ['./out:/out'],
    post_start: [{command: [sh, -c, 'echo hooked >> /out/crashing']}]}
`, "out/.keep", "")
	if err := os.Chmod(filepath.Join(s.dir, "out"), 0o777); err != nil {
		t.Fatal(err)
	}
	s.load("busybox")
	s.podc("up", "-d")
	out := func(s *stack, name string) string {
		b, _ := os.ReadFile(filepath.Join(s.dir, "out", name))
		return strings.TrimSpace(string(b))
	}
	const started = "1 container hook 7 /tmp\n2 0 0"
	s.behaves("post_start runs in the container, one after another, as asked", func(s *stack) {
		if got := out(s, "log"); got != started {
			s.t.Errorf("the hooks say %q", got)
		}
		status, _ := os.ReadFile("/proc/self/status")
		if caps := strings.Fields(out(s, "caps")); len(caps) != 2 || !strings.Contains(string(status), caps[1]) {
			s.t.Errorf("privileged has %q", caps)
		}
	})
	s.behaves("dependents start after it", func(s *stack) {
		eventually(s.t, 5*time.Second, func() error {
			if got := s.podc("logs", "--no-log-prefix", "after"); strings.TrimSpace(got) != started {
				return &notYet{got}
			}
			return nil
		})
	})
	s.behaves("a converged up runs none again, nor does a restart by policy", func(s *stack) {
		contains(s.t, s.podc("plan"), "nothing to do")
		s.podc("up", "-d")
		eventually(s.t, 10*time.Second, func() error {
			if s.ps()["p-crashing-1"].State != "running" {
				return &notYet{"not running"}
			}
			return nil
		})
		if got := out(s, "crashing"); got != "hooked" {
			s.t.Errorf("crashing was hooked: %q", got)
		}
		if got := out(s, "log"); got != started {
			s.t.Errorf("the hooks say %q", got)
		}
	})
	s.behaves("pre_stop runs before a stop, and one that fails prevents it", func(s *stack) {
		s.write("out/stay", "")
		contains(s.t, s.fails(1, "stop", "web"), "p-web-1", "pre-stop hook 1", "exited with code 1")
		if st := s.ps()["p-web-1"].State; st != "running" {
			s.t.Errorf("it is %s", st)
		}
		os.Remove(filepath.Join(s.dir, "out/stay"))
		s.podc("restart", "web")
		if got := out(s, "log"); got != started+"\nstopping\nstopping\n"+started {
			s.t.Errorf("the hooks say %q", got)
		}
	})
	s.behaves("kill asks nobody", func(s *stack) {
		s.podc("kill", "web")
		if got := out(s, "log"); got != started+"\nstopping\nstopping\n"+started {
			s.t.Errorf("the hooks say %q", got)
		}
	})
	s.behaves("post_start that fails is the failure of up, and is due until it succeeds", func(s *stack) {
		for range 2 {
			contains(s.t, s.fails(1, "up", "-d", "failing"), `cannot start "p-failing-1": post-start hook 1`, "exited with code 1", "no good")
		}
		contains(s.t, s.podc("plan", "failing"), "post_start has not succeeded yet")
		s.write("out/good", "")
		s.podc("up", "-d", "failing")
		s.podc("up", "-d", "failing")
		if got := out(s, "tries"); got != "try\ntry\ntry" {
			s.t.Errorf("it was tried: %q", got)
		}
	})
	s.behaves("down runs pre_stop without the file", func(s *stack) {
		s.podc("start", "web")
		os.Rename(filepath.Join(s.dir, "compose.yaml"), filepath.Join(s.dir, "gone.yaml"))
		s.podc("-p", "p", "down")
		os.Rename(filepath.Join(s.dir, "gone.yaml"), filepath.Join(s.dir, "compose.yaml"))
		if got := out(s, "log"); !strings.HasSuffix(got, started+"\nstopping") {
			s.t.Errorf("the hooks say %q", got)
		}
	})
}

// notYet is what eventually waits out.
type notYet struct{ got string }

func (e *notYet) Error() string { return "so far: " + e.got }

// TestPreStart runs containers to their end before a service.
func TestPreStart(t *testing.T) {
	s := newStack(t, `
services:
  db: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
  web:
    image: localhost/podc-busybox
    command: sh -c 'cat /data/log; sleep 1000'
    stop_signal: SIGKILL
    environment: {OWN: service}
    volumes: ['data:/data', /anonymous]
    secrets: [s]
    scale: 2
    depends_on: [db]
    pre_start:
      - {command: [sh, -c, 'echo "1 $$OWN $$EXTRA $$(cat /run/secrets/s) $$(nslookup db > /dev/null && echo db)" >> /data/log; touch /anonymous/x'], environment: {EXTRA: hook}}
      - {image: localhost/tool, command: [sh, -c, 'cat /tool >> /data/log; ls /anonymous >> /data/log; test ! -e /own/fail || { echo broken >&2; exit 4; }'], volumes: ['./own:/own']}
  late: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: [web]}
volumes: {data: {}}
secrets: {s: {environment: SECRET}}
`, "own/.keep", "")
	s.env = []string{"SECRET=hidden"}
	s.load("busybox")
	s.loadImage("localhost/tool", derivedTool(t))
	const once = "1 service hook hidden db\ntool\nx"
	s.podc("up", "-d")
	s.behaves("hooks run one after another, once, before every replica, with its volumes, networks and environment", func(s *stack) {
		s.says("web", "cat /data/log", once)
		for _, pod := range []string{"web-1", "web-2"} {
			eventually(s.t, 5*time.Second, func() error {
				if got := strings.TrimSpace(s.podc("container", "logs", "p-"+pod)); got != once {
					return &notYet{got}
				}
				return nil
			})
		}
	})
	s.behaves("they are gone when they have succeeded, and do not run while a replica does", func(s *stack) {
		if out := s.podc("ps", "-a", "--format", "{{.Name}}"); strings.Contains(out, "pre_start") {
			s.t.Errorf("there are %s", out)
		}
		contains(s.t, s.podc("plan"), "nothing to do")
		s.podc("up", "-d", "--scale", "web=3")
		s.says("web", "cat /data/log", once)
		if entries, _ := os.ReadDir(filepath.Join(s.root, "volumes")); len(entries) < 4 { // data and three anonymous ones
			s.t.Errorf("a hook took volumes along: %d are left", len(entries))
		}
		s.podc("up", "-d")
	})
	s.behaves("one that fails keeps the service and its dependents from starting, and stays to be looked at", func(s *stack) {
		s.podc("stop")
		s.write("own/fail", "")
		contains(s.t, s.fails(1, "up", "-d"), "p-web-pre_start-2", "4", "broken")
		for pod, want := range map[string]string{"p-web-1": "exited", "p-late-1": "exited", "p-web-pre_start-2": "exited", "p-db-1": "running"} {
			if got := s.ps()[pod].State; got != want {
				s.t.Errorf("%s is %q, not %s", pod, got, want)
			}
		}
		_, said := s.both("container", "logs", "p-web-pre_start-2")
		contains(s.t, said, "broken")
		os.Remove(filepath.Join(s.dir, "own/fail"))
		s.podc("up", "-d")
		if r := s.ps()["p-web-1"]; r.State != "running" {
			s.t.Errorf("web is %s", r.State)
		}
		if out := s.podc("ps", "-a", "--format", "{{.Name}}"); strings.Contains(out, "pre_start") {
			s.t.Errorf("there are %s", out)
		}
	})
	s.behaves("down takes along what a failed one left", func(s *stack) {
		s.podc("stop", "web")
		s.write("own/fail", "")
		s.fails(1, "up", "-d")
		s.podc("down", "-t", "0")
		if entries, _ := os.ReadDir(filepath.Join(s.root, "pods")); len(entries) > 0 {
			s.t.Errorf("%d pods are left", len(entries))
		}
	})
	s.behaves("what a hook lacks is refused before anything is made", func(s *stack) {
		s.write("bad.yaml", "services: {a: {image: localhost/podc-busybox, pull_policy: never, pre_start: [{image: localhost/none-such, command: x}]}}\n")
		out := s.fails(1, "-f", "bad.yaml", "up", "-d")
		if contains(s.t, out, "localhost/none-such"); strings.Contains(out, "Creating") {
			s.t.Errorf("something was made: %s", out)
		}
	})
}

func derivedTool(t *testing.T) v1.Image {
	return derived(t, v1.Config{}, imageFile{"tool", 0o644, 0, "tool\n"})
}
