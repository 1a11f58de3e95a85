package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// everySetting has a setting of each kind that a service may override. Its entrypoint says what it was given.
func everySetting(t *testing.T) v1.Image {
	return derived(t, v1.Config{
		Env: []string{"FROM_IMAGE=image", "SHARED=image"}, User: "app", WorkingDir: "/work",
		Entrypoint: []string{"/entry"}, Cmd: []string{"image's", "command"},
		StopSignal: "SIGUSR1", Volumes: map[string]struct{}{"/data": {}}, ExposedPorts: map[string]struct{}{"7777/tcp": {}},
		Labels:      map[string]string{"from": "image"},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "test", "-e", "/work"}, Interval: 200 * time.Millisecond},
	},
		imageFile{"etc/passwd", 0o644, 0, "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"},
		imageFile{"etc/group", 0o644, 0, "root:x:0:\napp:x:1000:\nwheel:x:2000:app\nextra:x:2001:\n"},
		imageFile{"entry", 0o755, 0, "#!/bin/sh\necho \"arguments: $*\"\ntrap 'echo told to end; exit 7' USR1\nwhile :; do sleep 0.1; done\n"},
		imageFile{"home/app/", 0o700, 1000, ""}, imageFile{"work/", 0o755, 1000, ""},
		imageFile{"data/", 0o750, 1000, ""}, imageFile{"data/seed", 0o640, 1000, "seed\n"}, imageFile{"data/inner/", 0o2770, 2000, ""}, imageFile{"data/inner/run", 0o4755, 0, "x\n"},
	)
}

func TestWhatAContainerRuns(t *testing.T) {
	s := newStack(t, `
services:
  asis: {image: localhost/shop}
  commanded: {image: localhost/shop, command: [x, 'y z'], stop_signal: SIGKILL}
  entered: {image: localhost/shop, entrypoint: [/entry, e], stop_signal: SIGKILL}
  both: {image: localhost/shop, entrypoint: /entry 'a b', command: c d, stop_signal: SIGKILL}
  emptied: {image: localhost/shop, command: [], stop_signal: SIGKILL}
  "null": {image: localhost/shop, command: null, entrypoint: null, stop_signal: SIGKILL}
  unentered: {image: localhost/plain, entrypoint: [], stop_signal: SIGKILL}
  changed:
    image: localhost/shop
    user: root:extra
    group_add: [wheel, '4242']
    working_dir: /made/up
    env_file: [one.env, {path: two.env, required: true}, {path: none.env, required: false}]
    environment: {SHARED: environment, EMPTY: '', INHERITED: , UNSET: , DOLLAR: 'a$$b'}
    stop_signal: SIGKILL
  numbers: {image: localhost/shop, user: '1234:5678', stop_signal: SIGKILL}
`, "one.env", "SHARED=one\nONE=one\nBOTH=one\n", "two.env", "BOTH=two\nQUOTED='a b'\n", ".env", "DOTENV=1\n")
	s.env = []string{"INHERITED=shell", "CANARY=1"}
	s.loadImage("localhost/shop", everySetting(t))
	s.loadImage("localhost/plain", derived(t, v1.Config{Entrypoint: []string{"false"}, Cmd: []string{"sleep", "1000"}}))
	s.podc("up", "-d")

	s.behaves("entrypoint and command are combined as docker does", func(s *stack) {
		for service, want := range map[string]string{
			"asis": "image's command", "commanded": "x y z", "entered": "e", "both": "a b c d", "emptied": "", "null": "image's command",
		} {
			eventually(s.t, 5*time.Second, func() error {
				if got := s.podc("logs", "--no-log-prefix", service); got != "arguments: "+want+"\n" {
					return fmt.Errorf("%s says %q", service, got)
				}
				return nil
			})
		}
		s.says("unentered", "tr '\\0' ' ' < /proc/1/cmdline", "sleep 1000")
	})
	s.behaves("the image says what nobody else does", func(s *stack) {
		s.says("asis", "id", "uid=1000(app) gid=1000(app) groups=1000(app),2000(wheel)")
		s.says("asis", "pwd", "/work")
		s.says("asis", "echo $FROM_IMAGE $SHARED $HOME $HOSTNAME", "image image /home/app "+s.ps()["p-asis-1"].ID[:12])
		if h := s.ps()["p-asis-1"].Health; h == "" {
			s.t.Error("the image's health check is not run")
		}
	})
	s.behaves("users and groups are found by name", func(s *stack) {
		s.says("changed", "id", "uid=0(root) gid=2001(extra) groups=2000(wheel),2001(extra),4242")
		s.says("numbers", "id -u; id -g; id -G", "1234\n5678\n5678")
	})
	s.behaves("a working directory that is missing is made", func(s *stack) {
		s.says("changed", "pwd", "/made/up")
	})
	s.behaves("environment goes before env_file, later files before earlier ones, all before the image", func(s *stack) {
		s.says("changed", "echo $SHARED,$FROM_IMAGE,$ONE,$BOTH,$QUOTED,$INHERITED,$DOLLAR", "environment,image,one,two,a b,shell,a$b")
		s.says("changed", "echo ${EMPTY-unset},${UNSET-unset},${CANARY-unset},${DOTENV-unset}", ",unset,unset,unset")
	})
	s.behaves("the image's stop signal is sent, and the exit code kept", func(s *stack) {
		s.podc("stop", "asis")
		r := s.ps()["p-asis-1"]
		if r.State != "exited" || r.ExitCode != 7 {
			s.t.Errorf("it is %s with code %d", r.State, r.ExitCode)
		}
		contains(s.t, s.podc("logs", "asis"), "told to end")
	})
}

func TestWhatAContainerMayDo(t *testing.T) {
	s := newStack(t, `
services:
  plain: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
  limited:
    image: localhost/podc-busybox
    command: sleep 1000
    stop_signal: SIGKILL
    cpus: 0.5
    cpu_shares: 512
    cpuset: '0'
    mem_limit: 64m
    mem_reservation: 32m
    pids_limit: 77
    shm_size: 8m
    ulimits: {nofile: {soft: 500, hard: 1000}, core: 0}
    sysctls: {net.core.somaxconn: 321}
    oom_score_adj: 500
    cap_drop: [ALL]
    cap_add: [CHOWN]
    security_opt: ['no-new-privileges:true']
  sealed:
    image: localhost/podc-busybox
    command: sleep 1000
    stop_signal: SIGKILL
    read_only: true
    tmpfs: ['/run', '/cache:size=1m,mode=700,uid=7,exec']
    configs: [{source: c, target: /etc/deep/in/c}]
    secrets: [{source: s, uid: '7', gid: '8', mode: 0400}]
  devices:
    image: localhost/podc-busybox
    command: sleep 1000
    stop_signal: SIGKILL
    devices: ['${FOLDER}/device:/dev/mine:r', '/dev/zero']
    cap_add: [MKNOD]
  lord: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, privileged: true}
  deployed:
    image: localhost/podc-busybox
    command: sleep 1000
    stop_signal: SIGKILL
    deploy: {resources: {limits: {cpus: '0.25', memory: 48m, pids: 66}}}
  reaped: {image: localhost/podc-busybox, command: sleep 1000, init: true}
  terminal: {image: localhost/podc-busybox, command: sh -c 'tty; sleep 1000', tty: true, stop_signal: SIGKILL}
configs: {c: {content: inline}}
secrets: {s: {environment: SECRET}}
`)
	s.env = []string{"SECRET=hidden", "FOLDER=" + s.dir}
	s.load("busybox")
	if err := unix.Mknod(filepath.Join(s.dir, "device"), unix.S_IFCHR|0o666, int(unix.Mkdev(240, 7))); err != nil {
		t.Fatal(err)
	}
	s.podc("up", "-d")
	// cgroup prints the file of a limit, whichever version of cgroups the host has.
	cgroup := func(s *stack, service, v2, v1, want string) {
		s.t.Helper()
		s.says(service, fmt.Sprintf("cd /sys/fs/cgroup && cat %s 2>/dev/null || cat %s", v2, v1), want)
	}
	s.behaves("limits are those of the cgroup", func(s *stack) {
		cgroup(s, "limited", "memory.max", "memory/memory.limit_in_bytes", "67108864")
		cgroup(s, "limited", "memory.low", "memory/memory.soft_limit_in_bytes", "33554432")
		cgroup(s, "limited", "pids.max", "pids/pids.max", "77")
		cgroup(s, "limited", "cpuset.cpus", "cpuset/cpuset.cpus", "0")
		s.says("limited", "cd /sys/fs/cgroup && cut -d' ' -f1 cpu.max 2>/dev/null || cat cpu/cpu.cfs_quota_us", "50000")
		s.says("limited", "cd /sys/fs/cgroup && cat cpu/cpu.shares 2>/dev/null || echo 512", "512")
		cgroup(s, "deployed", "memory.max", "memory/memory.limit_in_bytes", "50331648")
		cgroup(s, "deployed", "pids.max", "pids/pids.max", "66")
		s.says("deployed", "cd /sys/fs/cgroup && cut -d' ' -f1 cpu.max 2>/dev/null || cat cpu/cpu.cfs_quota_us", "25000")
		cgroup(s, "plain", "pids.max", "pids/pids.max", "2048")
		s.says("limited", "cd /sys/fs/cgroup && (test -d pids && cd pids; echo 1 > pids.max) 2>/dev/null || echo read-only", "read-only")
	})
	s.behaves("ulimits, sysctls, shm and the rest are what was asked for", func(s *stack) {
		s.says("limited", "ulimit -Sn; ulimit -Hn; ulimit -c", "500\n1000\n0")
		s.says("limited", "cat /proc/sys/net/core/somaxconn", "321")
		s.says("limited", "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2", "8192")
		s.says("plain", "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2", "65536")
		s.says("limited", "cat /proc/1/oom_score_adj", "500")
	})
	s.behaves("capabilities are few, and those asked for", func(s *stack) {
		s.says("plain", "grep -v Sig /proc/1/status | sed -n 's/Cap[A-Z].*:\\t0*/-/p'", "-\n-a00405fb\n-a00405fb\n-a00405fb\n-")
		s.says("limited", "grep CapEff /proc/self/status", "CapEff:\t0000000000000001")
		s.says("limited", "grep NoNewPrivs /proc/1/status", "NoNewPrivs:\t1")
		s.says("plain", "grep Seccomp: /proc/1/status", "Seccomp:\t2")
		s.says("lord", "grep Seccomp: /proc/1/status", "Seccomp:\t0")
		s.says("lord", "mount -t tmpfs x /mnt 2>/dev/null || mkdir /mnt && mount -t tmpfs x /mnt && echo mounted", "mounted")
		s.says("plain", "mkdir /mnt; mount -t tmpfs x /mnt 2>/dev/null || echo refused", "refused")
		s.says("plain", "unshare -U true 2>/dev/null || echo refused", "refused")
	})
	s.behaves("the kernel's own files are masked or read-only", func(s *stack) {
		s.says("plain", "head -c 1 /proc/kcore | wc -c; cat /proc/keys /proc/timer_list 2>/dev/null | wc -c; ls /sys/firmware | wc -l", "0\n0\n0")
		s.says("plain", "(echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo read-only", "read-only")
		s.says("plain", "(echo b > /proc/sysrq-trigger) 2>/dev/null || echo read-only", "read-only")
		s.says("plain", "(echo 1 > /sys/kernel/mm/ksm/run) 2>/dev/null || echo read-only", "read-only")
	})
	s.behaves("a pod can bind low ports and ping without capabilities", func(s *stack) {
		s.says("limited", "cat /proc/sys/net/ipv4/ping_group_range", "0\t2147483647")
		s.says("limited", "nc -l -p 80 -e true & for i in $(seq 100); do nc -w 1 127.0.0.1 80 -e true && echo bound && break; done 2>/dev/null", "bound")
	})
	s.behaves("a read-only container writes to tmpfs only", func(s *stack) {
		s.says("sealed", "touch /x /etc/x 2>/dev/null || echo read-only", "read-only")
		s.says("sealed", "touch /run/x /cache/x /dev/shm/x && echo written", "written")
		s.says("sealed", "stat -c '%a %u' /cache; df -k /cache | tail -1 | tr -s ' ' | cut -d' ' -f2", "700 7\n1024")
		s.says("sealed", "echo '#!/bin/sh' > /run/x; cp /run/x /cache/; chmod +x /run/x /cache/x; /cache/x && echo runs; /run/x 2>/dev/null || echo refused", "runs\nrefused")
		s.says("sealed", "cat /etc/deep/in/c", "inline")
		s.says("sealed", "cat /run/secrets/s; stat -c ' %a %u %g' /run/secrets/s", "hidden 400 7 8")
	})
	s.behaves("only the devices named can be used", func(s *stack) {
		// Nothing stands behind the device: what is allowed fails later than what is not.
		s.says("devices", "(: < /dev/mine) 2>&1 | sed 's/.*: //'; (: > /dev/mine) 2>&1 | sed 's/.*: //'", "No such device or address\nOperation not permitted")
		s.says("devices", "mknod /tmp/other c 240 8; (: < /tmp/other) 2>&1 | sed 's/.*: //'", "Operation not permitted")
		s.says("devices", "head -c 1 /dev/zero | wc -c; mknod /tmp/kmsg c 1 11; head -c 1 /tmp/kmsg 2>/dev/null | wc -c", "1\n0")
		s.says("plain", "ls /dev", "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero")
	})
	s.behaves("init reaps what others leave", func(s *stack) {
		s.sh("reaped", "for i in 1 2 3; do (sleep 0.01 &) ; done")
		eventually(s.t, 5*time.Second, func() error {
			if got := s.sh("reaped", "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true"); got != "0" {
				return fmt.Errorf("%s zombies", got)
			}
			return nil
		})
		start := time.Now()
		s.podc("stop", "reaped") // sleep as PID 1 would ignore SIGTERM
		if d := time.Since(start); d > 5*time.Second {
			s.t.Errorf("the signal was not passed on: stop took %s", d)
		}
	})
	s.behaves("tty gives a terminal", func(s *stack) {
		eventually(s.t, 5*time.Second, func() error {
			if got := s.podc("logs", "--no-log-prefix", "terminal"); !strings.HasPrefix(got, "/dev/") {
				return fmt.Errorf("it says %q", got)
			}
			return nil
		})
	})
}

func TestEndsOfContainers(t *testing.T) {
	s := newStack(t, `
services:
  hungry: {image: localhost/podc-busybox, command: tail /dev/zero, mem_limit: 16m, memswap_limit: 16m}
  fed: {image: localhost/podc-busybox, command: 'true', depends_on: {hungry: {condition: service_completed_successfully}}}
  stubborn: {image: localhost/podc-probe, command: stubborn, stop_grace_period: 200ms}
  polite: {image: localhost/podc-busybox, command: [sh, -c, 'trap "exit 5" INT; while :; do sleep 0.05; done'], stop_signal: INT}
  missing: {image: localhost/podc-busybox, command: /no/such/program}
  forbidden: {image: localhost/podc-busybox, command: /etc/passwd}
  ended: {image: localhost/podc-busybox, command: sh -c 'exit 3'}
  fell: {image: localhost/podc-busybox, command: sh -c 'kill -SEGV $$$$'}
`)
	s.load("busybox", "probe")
	s.podc("up", "-d", "hungry", "stubborn", "polite", "ended")
	s.behaves("memory beyond the limit kills, and that is noted", func(s *stack) {
		s.ended("hungry", 137)
		eventually(s.t, 5*time.Second, func() error { // the record follows the end
			var record struct {
				OOMKilled bool `json:"oom_killed"`
			}
			b, err := os.ReadFile(filepath.Join(s.root, "pods/p-hungry-1/last.json"))
			if err == nil {
				err = json.Unmarshal(b, &record)
			}
			if err == nil && !record.OOMKilled {
				err = fmt.Errorf("the record says %s", b)
			}
			return err
		})
		out := s.fails(1, "up", "-d", "fed")
		contains(s.t, out, `service "hungry" didn't complete successfully: exit 137`, "out of memory")
	})
	s.behaves("codes are kept", func(s *stack) {
		s.ended("ended", 3)
		contains(s.t, s.ps()["p-ended-1"].Status, "Exited (3)")
	})
	s.behaves("after the grace period comes SIGKILL", func(s *stack) {
		s.podc("stop", "stubborn")
		s.ended("stubborn", 137)
	})
	s.behaves("the stop signal is the one asked for", func(s *stack) {
		s.podc("stop", "polite")
		s.ended("polite", 5)
	})
	s.behaves("what cannot be run is an error that says so", func(s *stack) {
		contains(s.t, s.fails(1, "up", "-d", "missing"), "p-missing-1", "/no/such/program")
		contains(s.t, s.fails(1, "up", "-d", "forbidden"), "p-forbidden-1", "ermission denied")
		for _, service := range []string{"missing", "forbidden"} {
			if r := s.ps()["p-"+service+"-1"]; r.State != "created" {
				s.t.Errorf("%s is %s", service, r.State)
			}
		}
	})
	s.behaves("a signal that ends the first process is in its code", func(s *stack) {
		s.podc("up", "-d", "fell")
		// A first process ignores what it does not handle: the shell goes on to its end.
		s.ended("fell", 0)
	})
}

// ended waits until a service's only container has ended, with a code.
func (s *stack) ended(service string, code int) {
	s.t.Helper()
	eventually(s.t, 10*time.Second, func() error {
		if r := s.ps()["p-"+service+"-1"]; r.State != "exited" || r.ExitCode != code {
			return fmt.Errorf("%s is %s (%d)", service, r.State, r.ExitCode)
		}
		return nil
	})
}
