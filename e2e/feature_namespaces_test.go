package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// namespace is the one of a kind that a pod's container lives in, as the kernel names it.
func (s *stack) namespace(pod, kind string) string {
	s.t.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", s.pid(pod), kind))
	if err != nil {
		s.t.Fatal(err)
	}
	return link
}

func TestNamespaces(t *testing.T) {
	s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  plain: {<<: *sleep}
  host: {<<: *sleep, pid: host, ipc: host, uts: host, userns_mode: host, network_mode: host}
  lender: {<<: *sleep, ipc: shareable, shm_size: 4m, hostname: lends}
  guest: {<<: *sleep, pid: service:lender, ipc: service:lender, uts: service:lender, network_mode: service:lender}
  alone: {<<: *sleep, ipc: none, network_mode: none, init: true}
  foreign: {<<: *sleep, pid: 'container:${LENT}', ipc: container:lender, uts: container:lender, network_mode: 'container:${LENT}'}
  forks: {image: localhost/podc-busybox, command: [sh, -c, 'sleep 777 & sleep 778 & exec sleep 1000'], pid: host, init: true, stop_grace_period: 100ms}
`, "other.yaml", "services: {lender: {image: localhost/podc-busybox, command: sleep 1000, container_name: lender, ipc: shareable, hostname: lent, stop_signal: SIGKILL}}\n")
	s.load("busybox")
	t.Cleanup(func() { s.podc("-p", "other", "down") })
	s.podc("-p", "other", "-f", "other.yaml", "up", "-d")
	s.env = append(s.env, "LENT="+strings.TrimSpace(s.podc("container", "ls", "-q", "-f", "name=lender")))
	s.podc("up", "-d")
	s.behaves("those of the host are the host's", func(s *stack) {
		for _, kind := range []string{"pid", "ipc", "uts", "net"} {
			own, _ := os.Readlink("/proc/self/ns/" + kind)
			if got := s.namespace("p-host-1", kind); got != own {
				s.t.Errorf("%s is %s, the host's is %s", kind, got, own)
			}
			if got := s.namespace("p-plain-1", kind); got == own {
				s.t.Errorf("the %s of a plain service is the host's", kind)
			}
		}
		mark := filepath.Join("/dev/shm", filepath.Base(s.dir)+"-"+s.id())
		s.sh("host", "touch "+mark)
		if err := os.Remove(mark); err != nil {
			s.t.Errorf("/dev/shm is not the host's: %v", err)
		}
		hostname, _ := os.Hostname()
		s.says("host", "hostname", hostname)
	})
	s.behaves("those of another service are its own", func(s *stack) {
		for _, kind := range []string{"pid", "ipc", "uts", "net"} {
			if got, want := s.namespace("p-guest-1", kind), s.namespace("p-lender-1", kind); got != want {
				s.t.Errorf("%s is %s, the lender's is %s", kind, got, want)
			}
		}
		s.says("guest", "hostname; cat /etc/hostname", "lends\nlends")
		s.sh("lender", "echo shared > /dev/shm/x")
		s.says("guest", "cat /dev/shm/x; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2", "shared\n4096")
		s.says("guest", "tr '\\0' ' ' < /proc/1/cmdline", "sleep 1000")
	})
	s.behaves("those of a container by name or id are that container's, whoever made it", func(s *stack) {
		for _, kind := range []string{"pid", "ipc", "uts", "net"} {
			if got, want := s.namespace("p-foreign-1", kind), s.namespace("lender", kind); got != want {
				s.t.Errorf("%s is %s, the lender's is %s", kind, got, want)
			}
		}
		s.says("foreign", "hostname", "lent")
	})
	s.behaves("ipc none has no shared memory", func(s *stack) {
		s.says("alone", "grep -c /dev/shm /proc/mounts || true; ls /sys/class/net", "0\nlo")
	})
	s.behaves("what is restarted takes along who shares it", func(s *stack) {
		before := s.pid("p-guest-1")
		s.podc("restart", "-t", "0", "lender")
		if s.pid("p-guest-1") == before {
			s.t.Error("the guest was not restarted")
		}
		for _, kind := range []string{"pid", "ipc", "uts", "net"} {
			if got, want := s.namespace("p-guest-1", kind), s.namespace("p-lender-1", kind); got != want {
				s.t.Errorf("afterwards %s is %s, the lender's is %s", kind, got, want)
			}
		}
	})
	s.behaves("processes end with whose namespace they are in", func(s *stack) {
		s.podc("kill", "lender")
		s.ended("guest", 137)
		s.podc("up", "-d")
	})
	s.behaves("nothing that a container started outlives it among the host's processes", func(s *stack) {
		if n := len(pidsWith("sleep", "777")); n != 1 {
			s.t.Fatalf("%d processes", n)
		}
		s.podc("stop", "forks")
		if left := append(pidsWith("sleep", "777"), pidsWith("sleep", "778")...); len(left) > 0 {
			s.t.Errorf("processes %v", left)
		}
	})
	s.behaves("what cannot be shared is refused before anything is made", func(s *stack) {
		for yaml, want := range map[string]string{
			"{a: {image: localhost/podc-busybox, pid: 'container:nobody'}}":                     `container "nobody" does not exist`,
			"{a: {image: localhost/podc-busybox, ipc: 'container:p-plain-1'}}":                  `"p-plain-1", which does not lend it`,
			"{a: {image: localhost/podc-busybox, ipc: host, sysctls: {kernel.shmmax: 100000}}}": "the host's ipc",
		} {
			s.write("bad.yaml", "services: "+yaml+"\n")
			out := s.fails(1, "-p", "bad", "-f", "bad.yaml", "up", "-d")
			contains(s.t, out, want, "bad-a-1")
			if strings.Contains(out, "Creating") {
				s.t.Errorf("something was made first: %s", out)
			}
		}
	})
	s.down("-t", "0") // before the lender
}

func TestVolumesFrom(t *testing.T) {
	s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  source: {<<: *sleep, volumes: ['data:/data', /anonymous, './host:/host:ro'], tmpfs: /scratch, configs: [c]}
  reader: {<<: *sleep, volumes_from: ['source:ro'], volumes: ['other:/host']}
  writer: {<<: *sleep, volumes_from: [source]}
  third: {<<: *sleep, volumes_from: ['container:p-writer-1'], depends_on: [writer]}
volumes: {data: {}, other: {}}
configs: {c: {content: x}}
`, "host/file", "of the host")
	s.load("busybox")
	s.podc("up", "-d", "source", "reader", "writer")
	s.podc("up", "-d")
	s.behaves("volumes are shared, anonymous ones too", func(s *stack) {
		s.sh("source", "echo 1 > /data/x; echo 2 > /anonymous/y")
		s.says("writer", "cat /data/x /anonymous/y /host/file", "1\n2\nof the host")
		s.says("third", "cat /data/x /anonymous/y /host/file; echo 3 > /data/z", "1\n2\nof the host")
		s.says("source", "cat /data/z", "3")
	})
	s.behaves("ro cannot be written, nor what was read-only before", func(s *stack) {
		s.says("reader", "touch /data/x 2>/dev/null || echo read-only; cat /anonymous/y", "read-only\n2")
		s.says("writer", "touch /host/x 2>/dev/null || echo read-only; touch /data/w && echo written", "read-only\nwritten")
	})
	s.behaves("one's own mounts go first, and tmpfs and configs stay where they are", func(s *stack) {
		s.says("reader", "ls /host; ls -d /scratch /c 2>/dev/null | wc -l", "0")
	})
	s.behaves("a source that is recreated keeps its anonymous volumes, and who has them follows", func(s *stack) {
		before := s.record("p-writer-1")["id"]
		s.podc("up", "-d", "--force-recreate", "source")
		s.podc("up", "-d")
		s.says("writer", "cat /anonymous/y", "2")
		s.sh("source", "echo 4 > /anonymous/y")
		s.says("writer", "cat /anonymous/y", "4")
		if s.record("p-writer-1")["id"] == before {
			s.t.Error("it was not recreated")
		}
	})
	s.behaves("an anonymous volume goes with the last who has it", func(s *stack) {
		volumes, _ := s.record("p-source-1")["volumes"].(map[string]any)
		anonymous, _ := volumes["/anonymous"].(string)
		s.podc("rm", "-sfv", "reader", "third", "writer")
		s.says("source", "cat /anonymous/y", "4")
		s.podc("down", "-t", "0", "-v")
		if anonymous == "" || exists(filepath.Join(s.root, "volumes", anonymous)) {
			s.t.Errorf("volume %q stays", anonymous)
		}
	})
}
