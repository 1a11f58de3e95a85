package e2e

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRareLimits sets what most services leave alone.
func TestRareLimits(t *testing.T) {
	parent := "/podc-e2e-" + filepath.Base(t.TempDir()) + time.Now().Format("150405.000")
	s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  limited:
    <<: *sleep
    umask: "0077"
    cgroup_parent: ${PARENT}/deep
    mem_limit: 64m
    mem_swappiness: 10
    oom_kill_disable: true
    blkio_config: {device_read_bps: [{path: "${DISK}", rate: 1mb}], device_write_iops: [{path: "${DISK}", rate: 30}]}
  beside: {<<: *sleep, cgroup_parent: "${PARENT}/deep"}
  private: {<<: *sleep, cgroup: private}
  unlimited: {<<: *sleep, mem_limit: 64m, memswap_limit: -1, pids_limit: -1, mem_swappiness: 0}
  tiny: {<<: *sleep, logging: {driver: local}}
  more:
    <<: *sleep
    runtime: crun
    cpu_period: 50000
    cpu_quota: 20000
    deploy: {resources: {limits: {memory: 64m}, reservations: {memory: 32m, cpus: '0.1'}}}
    sysctls: {fs.mqueue.msg_max: 7}
    security_opt: ['label=type:svirt_t', 'apparmor=unconfined', 'seccomp=builtin', 'systempaths=unconfined']
    cap_add: [MKNOD]
    device_cgroup_rules: ['c 240:* r']
`)
	disk := someDisk(t)
	s.env = []string{"PARENT=" + parent, "DISK=" + disk}
	s.load("busybox")
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		out := s.fails(1, "up", "-d")
		contains(t, out, "swappiness cannot be set", "p-limited-1")
		t.Skip("cgroups v2 lack two of these limits")
	}
	s.podc("up", "-d")
	s.behaves("limits are those of the cgroup", func(s *stack) {
		id, _ := s.record("p-limited-1")["id"].(string)
		dir := "/sys/fs/cgroup/%/" + parent + "/deep/" + id
		for _, tt := range []struct{ controller, file, want string }{
			{"memory", "memory.swappiness", "10"}, {"memory", "memory.memsw.limit_in_bytes", "134217728"},
			{"memory", "memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 0"},
			{"blkio", "blkio.throttle.read_bps_device", deviceNumber(t, disk) + " 1048576"},
			{"blkio", "blkio.throttle.write_iops_device", deviceNumber(t, disk) + " 30"},
		} {
			b, err := os.ReadFile(filepath.Join(strings.Replace(dir, "%", tt.controller, 1), tt.file))
			if got := strings.TrimSpace(string(b)); err != nil || got != tt.want {
				s.t.Errorf("%s is %q, want %q (%v)", tt.file, got, tt.want, err)
			}
		}
		s.says("unlimited", "cat /sys/fs/cgroup/memory/memory.swappiness /sys/fs/cgroup/pids/pids.max; test $(cat /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes) -gt 1000000000000 && echo any", "0\nmax\nany")
	})
	s.behaves("times of processors and reserved memory, sysctls of queues, rules of devices", func(s *stack) {
		s.says("more", "cd /sys/fs/cgroup; cat cpu/cpu.cfs_period_us cpu/cpu.cfs_quota_us memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes", "50000\n20000\n67108864\n33554432")
		s.says("more", "cat /proc/sys/fs/mqueue/msg_max", "7")
		s.says("more", "mknod /none c 240 7; mknod /disk b 254 0; for d in none disk; do (: < /$d) 2>&1 | sed 's/.*: //'; done; (: > /none) 2>&1 | sed 's/.*: //'",
			"No such device or address\nOperation not permitted\nOperation not permitted")
		s.says("more", "grep Seccomp: /proc/1/status; grep -c /proc/kcore /proc/mounts || true", "Seccomp:\t2\n0")
	})
	s.behaves("the umask is that of new files", func(s *stack) {
		s.says("limited", "umask; touch /new; stat -c %a /new", "0077\n600")
	})
	s.behaves("a private cgroup is the root of what the container sees", func(s *stack) {
		s.says("private", "cut -d: -f3 /proc/self/cgroup | sort -u", "/")
		s.says("unlimited", "cut -d: -f3 /proc/self/cgroup | grep -c podc- | sed 's/[1-9][0-9]*/several/'", "several")
	})
	s.behaves("the parent of cgroups goes with the last in it, unless it was there before", func(s *stack) {
		dir := filepath.Join("/sys/fs/cgroup/memory", parent, "deep")
		s.podc("rm", "-sf", "limited")
		if _, err := os.Stat(dir); err != nil {
			s.t.Errorf("it went while somebody was in it: %v", err)
		}
		s.podc("rm", "-sf", "beside")
		if _, err := os.Stat(filepath.Dir(dir)); err == nil {
			s.t.Errorf("%s was left behind", filepath.Dir(dir))
		}
		if err := os.Mkdir(filepath.Dir(dir), 0o755); err != nil {
			s.t.Fatal(err)
		}
		defer os.Remove(filepath.Dir(dir))
		s.podc("up", "-d", "beside")
		s.podc("rm", "-sf", "beside")
		if _, err := os.Stat(filepath.Dir(dir)); err != nil {
			s.t.Errorf("the parent was somebody else's: %v", err)
		}
	})
	s.behaves("what the host cannot limit is refused before anything is made", func(s *stack) {
		s.write("compose.yaml", "services: {bad: {image: localhost/podc-busybox, blkio_config: {device_read_bps: [{path: /dev/null, rate: 1}]}}}\n")
		contains(s.t, s.fails(1, "up", "-d", "--remove-orphans"), "p-bad-1", "/dev/null", "not a block device")
		s.write("compose.yaml", "services: {bad: {image: localhost/podc-busybox, security_opt: ['apparmor=mine']}}\n")
		if !exists("/sys/module/apparmor") {
			contains(s.t, s.fails(1, "up", "-d", "--remove-orphans"), "p-bad-1", "AppArmor is not on")
		}
		if _, there := s.ps()["p-tiny-1"]; !there {
			s.t.Error("an orphan was removed by a plan that was refused")
		}
	})
}

// record is what is kept of a pod.
func (s *stack) record(pod string) map[string]any {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.root, "pods", pod, "spec.json"))
	var record map[string]any
	if err := errors.Join(err, json.Unmarshal(b, &record)); err != nil {
		s.t.Fatal(err)
	}
	return record
}

// someDisk is a block device of the host.
func someDisk(t *testing.T) string {
	t.Helper()
	disks, _ := filepath.Glob("/sys/block/*/device")
	for _, d := range disks {
		if path := "/dev/" + filepath.Base(filepath.Dir(d)); exists(path) {
			return path
		}
	}
	t.Skip("the host has no disk")
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func deviceNumber(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(path), "dev"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// TestJournal gives a service's output to a journal: that of the host's place, played by the test.
func TestJournal(t *testing.T) {
	const socket = "/run/systemd/journal/socket"
	s := newStack(t, `
services:
  journaled:
    image: localhost/podc-busybox
    command: sh -c 'echo to the journal; sleep 1000'
    stop_signal: SIGKILL
    logging: {driver: journald, options: {tag: mine}}
`)
	s.load("busybox")
	if exists(socket) {
		t.Skip("the host has a journal of its own")
	}
	contains(t, s.fails(1, "up", "-d"), "p-journaled-1", "journal, which does not run on this host")
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	journal, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		journal.Close()
		os.Remove(socket)
		os.Remove(filepath.Dir(socket))
	})
	s.podc("up", "-d")
	journal.SetReadDeadline(time.Now().Add(10 * time.Second))
	for entry := make([]byte, 64<<10); ; {
		n, err := journal.Read(entry)
		if err != nil {
			t.Fatalf("no entry came: %v", err)
		}
		if text := string(entry[:n]); strings.Contains(text, "to the journal\n") {
			contains(t, text, "CONTAINER_NAME=p-journaled-1", "CONTAINER_TAG=mine")
			break
		}
	}
	contains(t, s.podc("logs"), "to the journal")
}
