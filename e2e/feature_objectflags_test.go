package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Flags of commands about single objects that have no home elsewhere.
func TestFlagsOfObjects(t *testing.T) {
	s := newStack(t, `
services:
  a: {image: localhost/podc-busybox, command: "sh -c 'trap : TERM; trap \"exit 9\" USR1; echo deaf; while :; do sleep 0.05; done'", stop_grace_period: 1h}
`, "one.txt", "one", "two.txt", "two")
	s.podc("image", "load", "--quiet", "-i", archiveOf(t, "busybox"))
	s.podc("up", "-d")
	s.behaves("networks", func(s *stack) {
		s.podc("network", "create", "--driver", "bridge", "--internal", "--attachable", "--ipv4", "--opt", "com.docker.network.driver.mtu=1400", "inner")
		var found []struct {
			Driver   string
			Internal bool
			Options  map[string]string
		}
		if err := json.Unmarshal([]byte(s.podc("network", "inspect", "inner")), &found); err != nil || len(found) != 1 ||
			found[0].Driver != "bridge" || !found[0].Internal || found[0].Options["com.docker.network.driver.mtu"] != "1400" {
			s.t.Errorf("%v: %+v", err, found)
		}
		s.podc("network", "rm", "inner")
		contains(s.t, s.fails(1, "network", "create", "--config-from", "x", "no"), "--config-from")
		contains(s.t, s.fails(1, "network", "create", "--scope", "swarm", "no"), "--scope")
		contains(s.t, s.fails(1, "network", "create", "--ipam-opt", "a=b", "no"), "--ipam-opt")
		s.fails(1, "network", "create", "--config-only", "no")
		s.fails(1, "network", "create", "--ingress", "no")
	})
	s.behaves("volumes", func(s *stack) {
		if out := s.podc("volume", "create", "--name", "named"); out != "named\n" {
			s.t.Errorf("it is %q", out)
		}
		contains(s.t, s.podc("volume", "ls", "--no-trunc", "-q"), "named")
		s.podc("volume", "rm", "--force", "named", "never-there")
		contains(s.t, s.fails(1, "volume", "rm", "named"), "named")
	})
	s.behaves("images", func(s *stack) {
		s.podc("image", "tag", "localhost/podc-busybox", "localhost/second")
		s.podc("image", "rm", "--force", "--no-prune", "localhost/second")
		contains(s.t, s.fails(1, "image", "inspect", "localhost/second"), "localhost/second")
		contains(s.t, s.fails(1, "image", "ls", "--tree"), "--tree")
		r := newRegistry(s.t)
		r.push("shop/quiet:1", derived(s.t, v1.Config{Env: []string{"A=1"}}))
		if out := s.podc("image", "pull", "--quiet", r.host+"/shop/quiet:1"); strings.Contains(out, "Pull") {
			s.t.Errorf("it says %q", out)
		}
	})
	s.behaves("secrets and configs", func(s *stack) {
		s.podc("secret", "create", "key", "one.txt")
		s.podc("config", "create", "--label", "team=shop", "settings", "two.txt")
		if got := s.podc("secret", "ls", "--format", "{{.Name}}"); got != "key\n" {
			s.t.Errorf("secrets %q", got)
		}
		contains(s.t, s.podc("secret", "inspect", "--pretty", "key"), "key")
		if got := s.podc("config", "ls", "--filter", "label=team=shop", "--format", "{{.Name}}"); got != "settings\n" {
			s.t.Errorf("configs %q", got)
		}
		if got := s.podc("config", "ls", "--filter", "label=team=other", "-q"); got != "" {
			s.t.Errorf("configs %q", got)
		}
		contains(s.t, s.podc("config", "inspect", "--format", "{{.Spec.Name}}", "settings"), "settings")
		s.podc("secret", "rm", "key")
		s.podc("config", "rm", "settings")
	})
	s.behaves("containers", func(s *stack) {
		start := time.Now()
		s.podc("container", "stop", "--timeout", "0", "p-a-1")
		s.podc("container", "start", "p-a-1")
		s.podc("container", "restart", "--signal", "USR1", "p-a-1")
		if d := time.Since(start); d > 30*time.Second {
			s.t.Errorf("it took %s", d)
		}
		in := s.onTerminal("container", "exec", "--interactive", "--tty", "p-a-1", "sh", "-c", "test -t 0 && echo a terminal")
		in.shows("a terminal")
		in.ends(0)
		in = s.onTerminal("run", "--rm", "--tty", "a", "sh", "-c", "test -t 0 && echo a terminal")
		in.shows("a terminal")
		in.ends(0)
		contains(s.t, s.fails(1, "container", "start", "--checkpoint", "c", "p-a-1"), "--checkpoint")
		contains(s.t, s.fails(1, "container", "start", "--checkpoint-dir", "c", "p-a-1"), "--checkpoint-dir")
		contains(s.t, s.fails(1, "container", "start", "--detach-keys", "c", "p-a-1"), "--detach-keys")
		contains(s.t, s.fails(1, "container", "start", "--interactive", "p-a-1"), "--interactive")
		contains(s.t, s.fails(1, "container", "rm", "--link", "p-a-1"), "--link")
		s.podc("stop", "-t", "0")
	})
}
