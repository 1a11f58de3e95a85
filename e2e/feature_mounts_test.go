package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

func TestMounts(t *testing.T) {
	s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  nested:
    <<: *sleep
    read_only: true
    volumes: ['./host/inner:/a/b/inner', 'data:/a', {type: tmpfs, target: /a/b/inner/deepest}, './host:/a/b']
    configs: [{source: c, target: /a/b/inner/config}]
  own:
    <<: *sleep
    hostname: own
    volumes: ['./hosts:/etc/hosts:ro', './resolv:/etc/resolv.conf:ro', './passwd:/etc/passwd:ro']
    user: "777"
  links:
    image: localhost/links
    command: sleep 1000
    stop_signal: SIGKILL
    volumes: ['data:/relative/x', './host:/absolute/y', './host/file:/up/z']
    configs: [{source: c, target: /absolute/config}]
  covered: {image: localhost/links, command: sleep 1000, stop_signal: SIGKILL, tmpfs: /declared, volumes: ['./host:/declared/below/host']}
  flat: {<<: *sleep, volumes: [{type: bind, source: ./host, target: /x, bind: {recursive: disabled}}, {type: bind, source: ./host, target: /y}]}
  scratch:
    image: localhost/podc-probe
    command: sleep
    user: '1234'
    working_dir: /not/there
    read_only: true
    volumes: ['data:/data']
    configs: [{source: c, target: /etc/deep/config}]
volumes: {data: {}}
configs: {c: {content: configured}}
`, "host/file", "file of the host", "host/inner/x", "inner", "hosts", "127.0.0.9 by-hand\n", "resolv", "nameserver 127.0.0.99\n",
		"passwd", "fromhost:x:777:777::/:/bin/sh\n")
	s.load("busybox", "probe")
	s.loadImage("localhost/links", derived(t, v1.Config{Volumes: map[string]struct{}{"/declared": {}, "/declared/below": {}}},
		imageFile{"real/", 0o755, 0, ""}, imageFile{"declared/", 0o755, 0, ""}, imageFile{"declared/seed", 0o644, 0, "seed"},
		imageFile{"relative->real", 0, 0, ""}, imageFile{"absolute->/etc", 0, 0, ""}, imageFile{"up->../../../../../../../etc", 0, 0, ""}))
	sub := filepath.Join(s.dir, "host/mounted")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", sub, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(sub, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(sub, "seen"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.podc("up", "-d")

	s.behaves("within mounts are in place, whatever their order", func(s *stack) {
		s.says("nested", "cat /a/b/file /a/b/inner/x /a/b/inner/config", "file of the hostinnerconfigured")
		s.says("nested", "touch /a/x /a/b/made /a/b/inner/deepest/x && echo written; touch /x 2>/dev/null || echo read-only", "written\nread-only")
		if _, err := os.Stat(filepath.Join(s.dir, "host/made")); err != nil {
			s.t.Error(err)
		}
	})
	s.behaves("of one's own go before podc's files", func(s *stack) {
		s.says("own", "cat /etc/hosts /etc/resolv.conf; hostname", "127.0.0.9 by-hand\nnameserver 127.0.0.99\nown")
		s.says("own", "id -un", "fromhost")
	})
	s.behaves("follow links of the image within it, never out of it", func(s *stack) {
		s.says("links", "ls -d /real/x; cat /etc/y/file /etc/z /etc/config", "/real/x\nfile of the hostfile of the hostconfigured")
		for _, path := range []string{"/etc/y", "/etc/z", "/etc/config"} {
			if _, err := os.Lstat(path); err == nil {
				s.t.Errorf("the host now has %s", path)
			}
		}
	})
	s.behaves("replace volumes that the image declares", func(s *stack) {
		s.says("covered", "ls /declared; grep -c ' /declared tmpfs' /proc/mounts; cat /declared/below/host/file", "below\n1\nfile of the host")
	})
	s.behaves("have what is mounted below them, unless told otherwise", func(s *stack) {
		s.says("flat", "ls /y/mounted; ls /x/mounted | wc -l", "seen\n0")
	})
	s.behaves("work in an image with nothing in it", func(s *stack) {
		if got := s.exec("scratch", "/probe", "cat", "/etc/deep/config"); got != "configured" {
			s.t.Errorf("the config holds %q", got)
		}
		contains(s.t, s.exec("scratch", "/probe", "lookup", "nested"), ".")
	})
}

func TestFurtherKeys(t *testing.T) {
	const parent = "podc-e2e-parent"
	s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  labelled: {<<: *sleep, labels: {own: '1', both: file}, label_file: [labels.txt], annotations: {note: text}}
  raw: {<<: *sleep, env_file: [{path: raw.env, format: raw}]}
  net:
    <<: *sleep
    networks:
      low: {priority: 1, mac_address: '02:42:ac:11:00:99'}
      high: {priority: 100}
  linked: {<<: *sleep, networks: [high], links: ['net:alias'], extra_hosts: {somehost: 192.0.2.9}}
  input: {image: localhost/podc-busybox, command: cat, stdin_open: true, stop_signal: SIGKILL}
  closed: {image: localhost/podc-busybox, command: cat, stop_signal: SIGKILL}
  free: {<<: *sleep, security_opt: ['seccomp=unconfined']}
  profiled: {<<: *sleep, security_opt: ['seccomp=./seccomp.json']}
  tasks: {<<: *sleep, cgroup_parent: `+parent+`}
  global: {<<: *sleep, deploy: {mode: global, endpoint_mode: vip, placement: {constraints: [node.role==manager]}}}
  grown: {<<: *sleep, deploy: {replicas: 2}}
  none: {<<: *sleep, deploy: {replicas: 0}}
networks: {low: {}, high: {driver_opts: {com.docker.network.driver.mtu: '1400'}}}
`, "labels.txt", "both=other\nfrom.file=1\n", "raw.env", "RAW='kept as it is' $HOME\n",
		"seccomp.json", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}`)
	s.load("busybox")
	_, warnings := s.both("up", "-d")
	s.behaves("what means nothing here is a warning", func(s *stack) {
		contains(s.t, warnings, "services.global.deploy.placement", "services.global.deploy.endpoint_mode")
	})
	s.behaves("labels come from files too", func(s *stack) {
		out := s.podc("ps", "--format", `{{.Label "own"}} {{.Label "both"}} {{.Label "from.file"}}`, "labelled")
		if out != "1 file 1\n" {
			s.t.Errorf("labels %q", out)
		}
	})
	s.behaves("raw env files are taken as they are", func(s *stack) {
		s.says("raw", "echo \"$RAW\"", "'kept as it is' $HOME")
	})
	s.behaves("networks have their order, hardware address and MTU", func(s *stack) {
		s.says("net", "cat /sys/class/net/eth1/address /sys/class/net/eth0/mtu", "02:42:ac:11:00:99\n1400")
		s.says("linked", "nslookup -type=a alias | grep -c '^Address: '; grep -c '192.0.2.9.somehost' /etc/hosts", "1\n1")
	})
	s.behaves("stdin_open keeps the input open", func(s *stack) {
		s.ended("closed", 0)
		if state := s.ps()["p-input-1"].State; state != "running" {
			s.t.Errorf("input is %s", state)
		}
	})
	s.behaves("seccomp profiles are the default, none, or one of one's own", func(s *stack) {
		s.says("labelled", "grep Seccomp: /proc/self/status; mkdir /made && echo made", "Seccomp:\t2\nmade")
		s.says("free", "grep Seccomp: /proc/self/status", "Seccomp:\t0")
		s.says("profiled", "mkdir /made 2>/dev/null || echo refused", "refused")
	})
	s.behaves("cgroup_parent is heeded", func(s *stack) {
		contains(s.t, s.sh("tasks", "cat /proc/self/cgroup"), "/"+parent+"/")
	})
	s.behaves("deploy says how many", func(s *stack) {
		n := map[string]int{}
		for _, r := range s.ps() {
			n[r.Service]++
		}
		if n["grown"] != 2 || n["none"] != 0 || n["global"] != 1 {
			s.t.Errorf("there are %v", n)
		}
	})
	s.behaves("what is not served yet is refused by name", func(s *stack) {
		for _, key := range []string{"use_api_socket: true", "models: [m]", "storage_opt: {size: 1g}", "gpus: all", "cpu_rt_runtime: 1000"} {
			s.write("other.yaml", "services: {a: {image: x, "+key+"}, x: {image: x}}\nmodels: {m: {model: m}}")
			name, _, _ := strings.Cut(key, ":")
			contains(s.t, s.fails(1, "-f", "other.yaml", "up", "-d"), "services.a."+name, "not served")
		}
	})
}
