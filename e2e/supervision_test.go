package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const supervised = `
services:
  probed:
    image: localhost/podc-busybox
    command: sleep 1000
    stop_signal: SIGKILL
    healthcheck: {test: 'test ! -e /sick', interval: 300ms, timeout: 2s, retries: 1}
  fragile:
    image: localhost/podc-busybox
    command: sleep 1000
    restart: always
    stop_signal: SIGKILL
`

// With nobody typing anything, a killed monitor is back: with health, names and restarts.
func TestAKilledMonitorIsBackWithinThreeSeconds(t *testing.T) {
	s := newStack(t, supervised)
	s.load("busybox")
	s.podc("up", "-d", "--wait")
	for range 3 {
		pids := pidsWith("podc-monitor", "monitor", s.run)
		if len(pids) != 1 {
			t.Fatalf("%d monitors run", len(pids))
		}
		kill(t, pids[0])
		deadline := time.Now().Add(3 * time.Second)
		fragile := s.pid("p-fragile-1")
		kill(t, fragile)
		s.exec("probed", "touch", "/sick")
		eventually(t, time.Until(deadline), func() error {
			if rows := s.ps(); rows["p-probed-1"].Health != "unhealthy" || rows["p-fragile-1"].State != "running" || s.pid("p-fragile-1") == fragile {
				return fmt.Errorf("state is %+v", rows)
			}
			return nil
		})
		eventually(t, time.Until(deadline), func() error {
			_, err := s.try("exec", "-T", "probed", "nslookup", "fragile")
			return err
		})
		s.exec("probed", "rm", "/sick")
		eventually(t, 5*time.Second, func() error {
			if h := s.ps()["p-probed-1"].Health; h != "healthy" {
				return fmt.Errorf("health is %q", h)
			}
			return nil
		})
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("no process to kill: %d", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestAContainerThatListensOnPort53StillResolves(t *testing.T) {
	s := newStack(t, `
services:
  dns: {image: localhost/podc-probe, command: [listen, udp, '0.0.0.0:53'], stop_signal: SIGKILL}
  tcp: {image: localhost/podc-probe, command: [listen, tcp, '0.0.0.0:53'], stop_signal: SIGKILL}
`)
	s.load("probe")
	s.podc("up", "-d")
	for _, service := range []string{"dns", "tcp"} {
		for _, name := range []string{"dns", "tcp"} {
			if got := s.exec(service, "/probe", "lookup", name); !strings.Contains(got, ".") {
				t.Errorf("%s finds %s as %q", service, name, got)
			}
		}
	}
	for name, r := range s.ps() {
		if r.State != "running" {
			t.Errorf("%s is %s: it could not listen", name, r.State)
		}
	}
}

// A shell that collects the output waits until every holder of the pipe is gone: nothing that stays may hold it.
func TestCommandSubstitutionReturns(t *testing.T) {
	s := newStack(t, web)
	s.load("busybox")
	sh := s.cmd(t.Context(), "unused")
	cmd := exec.Command("sh", "-c", `out=$(`+sh.Path+` up -d 2>&1) && echo "got: $out"`)
	cmd.Dir, cmd.Env = sh.Dir, sh.Env
	done := make(chan struct{})
	go func() {
		defer close(done)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the shell still waits for the output of `podc up -d`")
	}
}

// A CI step, a terminal and an ssh session end by killing their process group, session and cgroup.
func TestAStackOutlivesItsCaller(t *testing.T) {
	s := newStack(t, supervised)
	s.load("busybox")
	var groups []string
	for _, m := range []string{"pids", "systemd", "memory", "cpu", "unified", ""} {
		dir := filepath.Join("/sys/fs/cgroup", m, "podc-e2e-caller")
		if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "cgroup.procs")); err != nil {
			continue
		}
		if err := os.Mkdir(dir, 0o755); err == nil {
			groups = append(groups, dir)
			defer syscall.Rmdir(dir)
		}
	}
	if len(groups) == 0 {
		t.Fatal("no cgroup could be made")
	}
	podc := s.cmd(t.Context(), "up", "-d", "--wait")
	var script bytes.Buffer
	for _, g := range groups {
		fmt.Fprintf(&script, "echo $$ > %s/cgroup.procs && ", g)
	}
	fmt.Fprintf(&script, "%s up -d --wait", podc.Path)
	cmd := exec.Command("sh", "-c", script.String())
	cmd.Dir, cmd.Env = podc.Dir, podc.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, g := range groups {
		b, _ := os.ReadFile(filepath.Join(g, "cgroup.procs"))
		if strings.TrimSpace(string(b)) != "" {
			t.Errorf("in the caller's cgroup %s are still %q", g, b)
		}
		for f := range strings.FieldsSeq(string(b)) {
			if pid, _ := strconv.Atoi(f); pid > 1 {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the session's process group
	for name, r := range s.ps() {
		if r.State != "running" {
			t.Errorf("%s is %s", name, r.State)
		}
	}
	if n := len(pidsWith("podc-monitor", "monitor", s.run)); n != 1 {
		t.Errorf("%d monitors run", n)
	}
}

// Two roots on one kernel do not see each other, even while one of them is repaired.
func TestTwoRootsDoNotTouchEachOther(t *testing.T) {
	a, b := newStack(t, supervised), newStack(t, supervised)
	a.load("busybox")
	b.load("busybox")
	a.podc("up", "-d", "--wait")
	stop := make(chan struct{})
	var repairs sync.WaitGroup
	repairs.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if out, err := a.try("system", "check", "--repair"); err != nil {
					t.Errorf("repair: %v\n%s", err, out)
				}
			}
		}
	})
	for range 3 {
		b.podc("up", "-d", "--wait")
		if got := b.exec("probed", "nslookup", "fragile"); !strings.Contains(got, "Address") {
			t.Errorf("names in the second root: %q", got)
		}
		b.down("-t", "0")
	}
	close(stop)
	repairs.Wait()
	if got := a.exec("probed", "nslookup", "fragile"); !strings.Contains(got, "Address") {
		t.Errorf("names in the first root: %q", got)
	}
}
