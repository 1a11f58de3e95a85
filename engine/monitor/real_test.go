package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine"
	"podc.example/podc/engine/logfile"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// The tests in this file run real containers and kill real monitors. They need root, conmon and crun, and each has roots of
// its own.

var helpersDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "podc-monitor-test-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "podc-monitor"), "../../cmd/podc-monitor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

var builtHelpers bool

func TestMain(m *testing.M) {
	code := m.Run()
	if builtHelpers {
		dir, _ := helpersDir()
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

const group = "g"

// stack is an engine on fresh roots with pods of one group.
type stack struct {
	t *testing.T
	*engine.Engine
	img api.Image
}

func newStack(t *testing.T) *stack {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if testing.Short() {
		t.Skip("runs real containers")
	}
	for _, bin := range []string{"conmon", "crun", "busybox"} {
		if _, err := exec.LookPath(bin); err != nil {
			t.Skip(err)
		}
	}
	builtHelpers = true
	helpers, err := helpersDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e, err := engine.Open(engine.Config{Root: dir + "/data", RunRoot: dir + "/run", Helpers: helpers})
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{t: t, Engine: e, img: busybox(t)}
	t.Cleanup(s.clean)
	return s
}

func (s *stack) clean() {
	ctx := context.Background()
	if s.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(s.Monitors().Dir(group), "log"))
		s.t.Logf("the monitor's log:\n%s", log)
	}
	pods, err := s.Pods("")
	if err != nil {
		s.t.Error(err)
	}
	for _, p := range pods {
		if err := s.RemovePod(ctx, p.Spec.Name, api.RemoveOptions{Force: true, Volumes: true}); err != nil {
			s.t.Error(err)
		}
	}
	began := time.Now()
	if err := s.Monitors().AwaitEnd(ctx, group); err != nil {
		s.t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		s.t.Errorf("the monitor needed %s to end", took)
	}
	networks, _ := s.Network().Networks()
	for name := range networks {
		if err := s.RemoveNetwork(ctx, name); err != nil {
			s.t.Error(err)
		}
	}
	if err := s.Tidy(ctx, group); err != nil {
		s.t.Error(err)
	}
	left, err := s.Checker().Check(ctx)
	if err != nil || len(left) > 0 {
		s.t.Errorf("left behind: %+v, %v", left, err)
	}
}

// busybox is an image of one layer with a static busybox.
func busybox(t *testing.T) api.Image {
	t.Helper()
	layer := filepath.Join(t.TempDir(), "layer")
	path, _ := exec.LookPath("busybox")
	src, err := os.ReadFile(path)
	err = errors.Join(err, os.MkdirAll(layer+"/bin", 0o755), os.Mkdir(layer+"/tmp", 0o777), os.WriteFile(layer+"/bin/busybox", src, 0o755))
	for _, name := range []string{"sh", "sleep", "cat", "echo", "test", "seq", "setsid", "env", "date", "nslookup", "kill", "true", "false", "yes", "grep", "ps", "head"} {
		err = errors.Join(err, os.Symlink("busybox", filepath.Join(layer, "bin", name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return api.Image{ID: strings.Repeat("cd", 32), Names: []string{"busybox"}, Layers: []string{layer}, Config: api.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}}}
}

func shell(name, script string) api.PodSpec {
	return api.PodSpec{Name: name, Group: group, Container: api.ContainerSpec{Image: "busybox", Command: []string{"sh", "-c", script}}}
}

func (s *stack) start(specs ...api.PodSpec) {
	s.t.Helper()
	for _, spec := range specs {
		if err := s.CreatePod(s.t.Context(), spec, s.img); err != nil {
			s.t.Fatal(err)
		}
		if err := s.StartPod(s.t.Context(), spec.Name); err != nil {
			s.t.Fatal(err)
		}
	}
}

// await returns the pod once it is as ok says, which is asked whenever the pod's state changes.
func (s *stack) await(name string, limit time.Duration, what string, ok func(api.Pod) bool) api.Pod {
	s.t.Helper()
	n, err := kernel.OpenInotify(func() {})
	if err != nil {
		s.t.Fatal(err)
	}
	defer n.Close()
	changed := make(chan struct{}, 1)
	if _, err := n.Add(filepath.Join(s.Supervisor().PodsRunDir(), name), unix.IN_MOVED_TO, func(uint32, string) { notify(changed) }); err != nil {
		s.t.Fatal(err)
	}
	go n.Run()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		p, err := s.Pod(name)
		if err != nil {
			s.t.Fatal(err)
		}
		if ok(p) {
			return p
		}
		select {
		case <-changed:
		case <-timer.C:
			s.t.Fatalf("%s was not %s within %s: %+v", name, what, limit, p)
		}
	}
}

func (s *stack) awaitHealth(name string, limit time.Duration, h api.Health) api.Pod {
	s.t.Helper()
	return s.await(name, limit, string(h), func(p api.Pod) bool { return p.Health == h })
}

// lines is what a pod has printed so far.
func (s *stack) lines(name string) (lines []string) {
	s.t.Helper()
	err := s.Logs(s.t.Context(), name, logfile.Options{Tail: -1}, func(l api.LogLine) error {
		lines = append(lines, string(l.Text))
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return lines
}

// holder is the process that holds one of the monitor's locks, "lock" or "guardian", as soon as there is one other than not.
func (s *stack) holder(lock string, not int) int {
	s.t.Helper()
	path := filepath.Join(s.Monitors().Dir(group), lock)
	n, err := kernel.OpenInotify(func() {})
	if err != nil {
		s.t.Fatal(err)
	}
	defer n.Close()
	changed := make(chan struct{}, 1)
	if _, err := n.Add(s.Monitors().Dir(group), unix.IN_MODIFY|unix.IN_CLOSE_WRITE, func(uint32, string) { notify(changed) }); err != nil {
		s.t.Fatal(err)
	}
	go n.Run()
	timer := time.NewTimer(3 * time.Second)
	defer timer.Stop()
	for {
		if pid := disk.Holder(path); pid > 0 && pid != not && disk.Held(path) {
			return pid
		}
		select {
		case <-changed:
		case <-timer.C:
			s.t.Fatalf("nobody holds %s within 3 s", lock)
		}
	}
}

func (s *stack) kill(pid int) {
	s.t.Helper()
	f, err := pidfd(pid)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	if err := kernel.AwaitPidfd(ctx, f); err != nil {
		s.t.Fatal(err)
	}
}

func pidfd(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	return os.NewFile(uintptr(fd), "pidfd"), err
}

// processes lists those whose arguments hold want.
func processes(want string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, d := range entries {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		if b, _ := os.ReadFile("/proc/" + d.Name() + "/cmdline"); slices.Contains(strings.Split(string(b), "\x00"), want) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func sharing(t *testing.T, spec *api.PodSpec) (dir string) {
	dir = t.TempDir()
	spec.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: dir, Target: "/share"}}
	return dir
}

func TestHealthFollowsTheProbe(t *testing.T) {
	s := newStack(t)
	spec := shell("web", "sleep 600")
	dir := sharing(t, &spec)
	spec.Container.Health = &api.HealthCheck{Test: []string{"CMD-SHELL", "echo probing; test -e /share/ok"}, Interval: 100 * time.Millisecond, Retries: 2}
	s.start(spec)
	if p, _ := s.Pod("web"); p.Health != api.HealthStarting {
		t.Errorf("begins as %q", p.Health)
	}
	if err := os.WriteFile(dir+"/ok", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitPod(t.Context(), "web", api.Healthy); err != nil {
		t.Fatal(err)
	}
	os.Remove(dir + "/ok")
	p := s.awaitHealth("web", 20*time.Second, api.HealthUnhealthy)
	if last := p.Probes[len(p.Probes)-1]; last.ExitCode != 1 || last.Output != "probing\n" {
		t.Errorf("the last probe is %+v", last)
	}
	for i := 1; i < len(p.Probes); i++ {
		if gap := p.Probes[i].Start.Sub(p.Probes[i-1].End); gap < 100*time.Millisecond {
			t.Errorf("%s between two probes", gap)
		}
	}
	if err := os.WriteFile(dir+"/ok", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.awaitHealth("web", 20*time.Second, api.HealthHealthy)
}

func TestFailuresWithinTheStartPeriodDoNotCount(t *testing.T) {
	s := newStack(t)
	spec := shell("slow", "sleep 600")
	spec.Container.Health = &api.HealthCheck{Test: []string{"CMD", "false"}, Interval: time.Minute, Retries: 1, StartPeriod: 700 * time.Millisecond, StartInterval: 100 * time.Millisecond}
	s.start(spec)
	p := s.await("slow", 20*time.Second, "probed", func(p api.Pod) bool { return len(p.Probes) >= 3 })
	if p.Health != api.HealthStarting {
		t.Errorf("is %s within its start period", p.Health)
	}
}

func TestAProbeIsKilledWithAllItsChildren(t *testing.T) {
	s := newStack(t)
	spec := shell("web", "sleep 600")
	spec.Container.Health = &api.HealthCheck{
		Test: []string{"CMD-SHELL", "echo before; (setsid sh -c 'sleep 86001 & sleep 86001' &); env -i sleep 86001 & sleep 86001; echo after"},
		// The next probe comes late enough to see that nothing of this one is left.
		Interval: 500 * time.Millisecond, StartPeriod: time.Minute, StartInterval: 30 * time.Second, Timeout: time.Second, Retries: 1,
	}
	spec.Container.Health.StartInterval = 300 * time.Millisecond
	s.start(spec)
	s.await("web", 20*time.Second, "probed", func(p api.Pod) bool { return len(p.Probes) == 1 })
	p, _ := s.Pod("web")
	if left := processes("86001"); len(left) > 0 && time.Since(p.Probes[0].End) < 250*time.Millisecond {
		t.Errorf("left of the probe: %v", left)
	}
	if probe := p.Probes[0]; probe.ExitCode != -1 || probe.Output != "before\n" || probe.End.Sub(probe.Start) > 3*time.Second {
		t.Errorf("the probe is %+v", probe)
	}
	if p.Pid == 0 {
		t.Error("the container went with its probe")
	}
}

func TestRestartsBackOff(t *testing.T) {
	s := newStack(t)
	spec := shell("crash", "echo run; exit 3")
	spec.Container.Restart.Name = "always"
	few := shell("few", "echo run; exit 4")
	few.Container.Restart = api.RestartPolicy{Name: "on-failure", MaxRetries: 2}
	well := shell("well", "exit 0")
	well.Container.Restart.Name = "on-failure"
	s.start(spec, few, well)
	s.await("crash", 30*time.Second, "restarted 4 times", func(p api.Pod) bool { return p.Restarts == 4 && p.Status == api.StatusRestarting })
	var at []time.Time
	err := s.Logs(t.Context(), "crash", logfile.Options{Tail: -1}, func(l api.LogLine) error { at = append(at, l.Time); return nil })
	if err != nil || len(at) < 5 {
		t.Fatalf("ran %d times: %v", len(at), err)
	}
	want := 100 * time.Millisecond
	for i := 1; i < 5; i++ {
		if gap := at[i].Sub(at[i-1]); gap < want { // how much more it is, is the machine's affair
			t.Errorf("restart %d came after %s, want at least %s", i, gap, want)
		}
		want *= 2
	}
	if p, _ := s.Pod("few"); p.Status != api.StatusExited || p.Restarts != 2 || p.ExitCode != 4 || len(s.lines("few")) != 3 {
		t.Errorf("with two retries: %+v", p)
	}
	if p, _ := s.Pod("well"); p.Status != api.StatusExited || p.Restarts != 0 {
		t.Errorf("it ended well: %+v", p)
	}
	// A stop ends the restarting, too.
	if err := s.StopPod(t.Context(), "crash", nil); err != nil {
		t.Fatal(err)
	}
	if p, _ := s.Pod("crash"); p.Status != api.StatusExited {
		t.Errorf("stopped: %+v", p)
	}
}

func TestAKilledMonitorComesBack(t *testing.T) {
	s := newStack(t)
	web, crash := shell("web", "sleep 600"), shell("crash", "echo run; sleep 1; exit 1")
	web.Container.Health = &api.HealthCheck{Test: []string{"CMD-SHELL", "sleep 86002 & sleep 0.05; kill $!; cat /share/ok"}, Interval: 200 * time.Millisecond, Retries: 1}
	dir := sharing(t, &web)
	crash.Container.Restart.Name = "always"
	s.start(web, crash)
	s.awaitHealth("web", 20*time.Second, api.HealthUnhealthy)
	for i := range 5 {
		monitor := s.holder("lock", 0)
		s.holder("guardian", 0)
		s.kill(monitor)
		began := time.Now()
		if s.holder("lock", monitor); time.Since(began) > 3*time.Second {
			t.Errorf("round %d: it took %s", i, time.Since(began))
		}
	}
	if err := os.WriteFile(dir+"/ok", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.awaitHealth("web", 20*time.Second, api.HealthHealthy)
	before, _ := s.Pod("crash")
	s.await("crash", 20*time.Second, "restarted", func(p api.Pod) bool { return p.Restarts > before.Restarts && p.Pid > 0 })
	p, _ := s.Pod("crash")
	if runs := len(s.lines("crash")); runs < p.Restarts || runs > p.Restarts+1 {
		t.Errorf("%d runs after %d restarts", runs, p.Restarts)
	}
	if n := len(processes(s.Monitors().Dir(group)[:len(s.Monitors().Dir(group))-len("/monitors/"+group)])); n > 4 {
		t.Logf("%d processes name the run root", n)
	}
}

func TestRestartsAreNeitherLostNorDoubledByKills(t *testing.T) {
	s := newStack(t)
	spec := shell("crash", "echo run; exit 1")
	spec.Container.Restart = api.RestartPolicy{Name: "on-failure", MaxRetries: 5}
	s.start(spec)
	// Kill the monitor wherever it is, until the pod has used up its restarts.
	kills := 0
	for {
		p, err := s.Pod("crash")
		if err != nil {
			t.Fatal(err)
		}
		if p.Status == api.StatusExited && p.Restarts == 5 {
			break
		}
		monitor := s.holder("lock", 0)
		s.await("crash", 30*time.Second, "changed", func(n api.Pod) bool {
			return n.Status != p.Status || n.Restarts != p.Restarts
		})
		if unix.Kill(monitor, unix.SIGKILL) == nil {
			kills++
		}
	}
	// A run whose start was cut short may have begun to print.
	if runs := len(s.lines("crash")); runs < 6 || runs > 6+kills {
		t.Errorf("%d runs and %d kills", runs, kills)
	}
}

func TestAKilledGuardianComesBack(t *testing.T) {
	s := newStack(t)
	s.start(shell("web", "sleep 600"))
	guardian := s.holder("guardian", 0)
	s.kill(guardian)
	second := s.holder("guardian", guardian)
	// The new one guards.
	monitor := s.holder("lock", 0)
	s.kill(monitor)
	monitor = s.holder("lock", monitor)
	// A monitor that was started by a guardian replaces that one, too.
	s.kill(second)
	s.holder("guardian", second)
	if s.holder("lock", 0) != monitor {
		t.Error("the monitor went with its guardian")
	}
	// Both at once are healed by the next one who needs them.
	g, m := s.holder("guardian", 0), s.holder("lock", 0)
	unix.Kill(g, unix.SIGSTOP)
	unix.Kill(m, unix.SIGSTOP)
	s.kill(g)
	s.kill(m)
	if err := s.Monitors().Ensure(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	s.holder("lock", m)
	s.holder("guardian", g)
}

func TestAnEndThatConmonDidNotSeeIsNoted(t *testing.T) {
	s := newStack(t)
	always := shell("always", "echo run; sleep 600")
	always.Container.Restart.Name = "always"
	s.start(shell("once", "sleep 600"), always)
	for _, name := range []string{"once", "always"} {
		p, _ := s.Pod(name)
		b, err := os.ReadFile(filepath.Join(s.Supervisor().PodsRunDir(), name, "conmon", "conmon.pid"))
		if err != nil {
			t.Fatal(err)
		}
		conmon, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		s.kill(conmon)
		s.kill(p.Pid)
	}
	p := s.await("once", 20*time.Second, "ended", func(p api.Pod) bool { return p.Status == api.StatusExited })
	if p.ExitKnown {
		t.Errorf("nobody can know its exit code: %+v", p)
	}
	s.await("always", 20*time.Second, "restarted", func(p api.Pod) bool { return p.Restarts == 1 && p.Pid > 0 })
}

func (s *stack) logFiles(name string) (sizes []int64) {
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(s.Supervisor().PodsRunDir())), "data/pods", name, "main/ctr.log*"))
	for _, f := range files {
		if fi, err := os.Stat(f); err == nil {
			sizes = append(sizes, fi.Size())
		}
	}
	slices.Sort(sizes)
	return sizes
}

// followCount reads the numbers from 1 that a pod prints, as it does.
func (s *stack) followCount(name string, lines int) {
	s.t.Helper()
	next := 1
	err := s.Logs(s.t.Context(), name, logfile.Options{Tail: -1, Follow: true}, func(l api.LogLine) error {
		if want := strconv.Itoa(next); string(l.Text) != want {
			return fmt.Errorf("got %q instead of %q", l.Text, want)
		}
		next++
		return nil
	})
	if err != nil || next != lines+1 {
		s.t.Errorf("read %d of %d lines: %v", next-1, lines, err)
	}
}

func TestAFloodIsRotated(t *testing.T) {
	s := newStack(t)
	const lines, limit = 1_500_000, 10 << 20
	spec := shell("flood", fmt.Sprintf("seq 1 %d", lines))
	spec.Container.Log = api.LogConfig{MaxSize: limit, MaxFile: 1000}
	kept := spec
	kept.Name, kept.Container.Log.MaxFile = "kept", 0
	s.start(spec, kept)
	s.followCount("flood", lines)
	if err := s.WaitPod(t.Context(), "kept", api.Stopped); err != nil {
		t.Fatal(err)
	}
	sizes := s.logFiles("flood")
	if n := len(sizes); n < 3 || sizes[n-1] > 4*limit { // how closely it is watched depends on the machine
		t.Errorf("%d files: %d", n, sizes)
	}
	if sizes := s.logFiles("kept"); len(sizes) != 3 && len(sizes) != 2 { // between two steps of a rotation there are 2
		t.Errorf("3 files are to be kept, not %d", sizes)
	}
	if got := s.lines("kept"); got[len(got)-1] != strconv.Itoa(lines) {
		t.Errorf("the last line is %q", got[len(got)-1])
	}
}

func TestNoLineIsLostWhenTheMonitorDies(t *testing.T) {
	s := newStack(t)
	const lines = 2_000_000
	spec := shell("flood", fmt.Sprintf("for i in 0 1 2 3; do seq $((i*%d+1)) $((i*%d+%d)); sleep 0.5; done", lines/4, lines/4, lines/4))
	spec.Container.Log = api.LogConfig{MaxSize: 64 << 10, MaxFile: 10000}
	s.start(spec)
	for range 3 {
		monitor := s.holder("lock", 0)
		if p, _ := s.Pod("flood"); p.Pid == 0 {
			t.Fatal("the flood is over too soon")
		}
		s.kill(monitor)
		s.holder("lock", monitor)
	}
	s.followCount("flood", lines)
	// How often depends on the machine; that it went on at all does not.
	if n := len(s.logFiles("flood")); n < 2 {
		t.Errorf("%d log files: nothing was rotated", n)
	}
}

func TestTheMonitorGoesWithTheLastPod(t *testing.T) {
	s := newStack(t)
	s.start(shell("web", "sleep 600"))
	monitor, guardian := s.holder("lock", 0), s.holder("guardian", 0)
	for _, pid := range []int{monitor, guardian} {
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		for _, fd := range fds {
			to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
			if n, _ := strconv.Atoi(fd.Name()); n < 2 && to != "/dev/null" {
				t.Errorf("descriptor %d of %d is %s", n, pid, to)
			}
		}
		if sid, err := unix.Getsid(pid); err != nil || sid != monitor {
			t.Errorf("%d is in session %d: %v", pid, sid, err)
		}
	}
	// With all pods stopped it stays a little, then goes.
	if err := s.StopPod(t.Context(), "web", new(time.Duration)); err != nil {
		t.Fatal(err)
	}
	if err := s.Monitors().Ping(t.Context(), group); err != nil {
		t.Errorf("it went at once: %v", err)
	}
	if err := s.Monitors().AwaitEnd(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	// A start has a new one.
	if err := s.StartPod(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if s.holder("lock", 0) == monitor {
		t.Error("it is the old one")
	}
	began := time.Now()
	if err := s.RemovePod(t.Context(), "web", api.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	removed := time.Now()
	if err := s.Monitors().AwaitEnd(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	t.Logf("removed in %s, the monitor ended %s after", removed.Sub(began), time.Since(removed))
	if time.Since(removed) > time.Second {
		t.Error("the monitor took its time")
	}
}

func TestAnEndingMonitorDoesNotBreakAStart(t *testing.T) {
	s := newStack(t)
	for i := range 15 {
		spec := shell("web", "sleep 600")
		spec.Container.Health = &api.HealthCheck{Test: []string{"CMD", "true"}, Interval: 10 * time.Millisecond}
		s.start(spec)
		if i%3 == 0 {
			if err := s.WaitPod(t.Context(), "web", api.Healthy); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.RemovePod(t.Context(), "web", api.RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNamesAreAnsweredAgainAfterAKill(t *testing.T) {
	s := newStack(t)
	if err := s.CreateNetwork(t.Context(), api.Network{Name: "mnet", Internal: true}); err != nil {
		t.Fatal(err)
	}
	spec := shell("web", "sleep 600")
	spec.Network.Endpoints = []api.Endpoint{{Network: "mnet", Aliases: []string{"alias"}}}
	spec.Container.Health = &api.HealthCheck{Test: []string{"CMD", "nslookup", "alias", "127.0.0.11"}, Interval: 200 * time.Millisecond, Retries: 1, Timeout: 2 * time.Second}
	s.start(spec)
	if err := s.WaitPod(t.Context(), "web", api.Healthy); err != nil {
		t.Fatal(err)
	}
	monitor := s.holder("lock", 0)
	s.kill(monitor)
	began := time.Now()
	s.holder("lock", monitor)
	killed := began
	p := s.await("web", 20*time.Second, "probed anew", func(p api.Pod) bool {
		return p.Health == api.HealthHealthy && p.Probes[len(p.Probes)-1].Start.After(killed)
	})
	if took := p.Probes[len(p.Probes)-1].End.Sub(began); took > 3*time.Second {
		t.Errorf("names and health were back after %s", took)
	} else {
		t.Logf("names and health were back after %s", took)
	}
}

func TestInitReapsAndPassesOn(t *testing.T) {
	s := newStack(t)
	spec := shell("init", `trap 'echo got; exit 5' TERM; (sleep 0.01 &) ; (sleep 0.01 &); sleep 0.3; ps; echo up; while :; do sleep 0.1; done`)
	spec.Container.Init = true
	s.start(spec)
	up := errors.New("up")
	err := s.Logs(t.Context(), "init", logfile.Options{Follow: true, Tail: -1}, func(l api.LogLine) error {
		if string(l.Text) == "up" {
			return up
		}
		return nil
	})
	if !errors.Is(err, up) {
		t.Fatal(err)
	}
	if err := s.StopPod(t.Context(), "init", nil); err != nil {
		t.Fatal(err)
	}
	out := strings.Join(s.lines("init"), "\n")
	if p, _ := s.Pod("init"); p.ExitCode != 5 || !strings.HasSuffix(out, "got") {
		t.Errorf("ended with %d: %s", p.ExitCode, out)
	}
	if strings.Contains(out, "Z ") || !strings.Contains(out, "/dev/init") {
		t.Errorf("its processes: %s", out)
	}
}

// pss is the proportional share of memory of a process, in KiB.
func pss(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); f[0] == "Pss:" {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	t.Fatal("no Pss")
	return 0
}

func TestTwentyPodsWithProbesCostLittleMemory(t *testing.T) {
	s := newStack(t)
	if err := s.CreateNetwork(t.Context(), api.Network{Name: "many", Internal: true}); err != nil {
		t.Fatal(err)
	}
	var specs []api.PodSpec
	for i := range 20 {
		spec := shell(fmt.Sprint("web", i), "sleep 600")
		spec.Network.Endpoints = []api.Endpoint{{Network: "many"}}
		spec.Container.Health = &api.HealthCheck{Test: []string{"CMD", "true"}, Interval: time.Minute, StartPeriod: 5 * time.Second, StartInterval: time.Second}
		specs = append(specs, spec)
	}
	s.start(specs...)
	for _, spec := range specs {
		s.await(spec.Name, 20*time.Second, "probed", func(p api.Pod) bool { return len(p.Probes) > 0 })
	}
	// A probe maps pages that the monitor lets go of again: between them is what counts.
	deadline := time.After(30 * time.Second)
	for range time.Tick(200 * time.Millisecond) {
		monitor, guardian := pss(t, s.holder("lock", 0)), pss(t, s.holder("guardian", 0))
		if monitor+guardian <= 12<<10 {
			t.Logf("the monitor has %d KiB, the guardian %d KiB", monitor, guardian)
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the monitor has %d KiB, the guardian %d KiB", monitor, guardian)
		default:
		}
	}
}

// cpu is the processor time that a process has used, in clock ticks of 10 ms, and how often its threads were woken up.
func cpu(t *testing.T, pid int) (ticks, wakeups int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')'):]))
	for _, i := range []int{12, 13} {
		n, _ := strconv.Atoi(f[i])
		ticks += n
	}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for line := range strings.Lines(string(b)) {
			if n, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				n, _ := strconv.Atoi(strings.TrimSpace(n))
				wakeups += n
			}
		}
	}
	return ticks, wakeups
}

// It is on a network of its own: what others change on the machine's wakes a monitor.
func TestAMonitorWithNothingToDoSleeps(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	s := newStack(t)
	s.start(shell("web", "sleep 600"), shell("other", "sleep 600"))
	monitor, guardian := s.holder("lock", 0), s.holder("guardian", 0)
	<-time.After(4 * time.Second) // its start is over
	for name, pid := range map[string]int{"monitor": monitor, "guardian": guardian} {
		ticks, wakeups := cpu(t, pid)
		<-time.After(2 * time.Second)
		ticks2, wakeups2 := cpu(t, pid)
		if ticks2 > ticks || wakeups2-wakeups > 4 {
			t.Errorf("in two seconds of silence the %s used %d ticks and woke up %d times", name, ticks2-ticks, wakeups2-wakeups)
		}
	}
}

// inOwnNetwork runs the calling test again in a child that is root of a network of its own; it reports whether this is the child.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	const mark = "PODC_OWN_NETWORK"
	if os.Getenv(mark) != "" {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err = cmp.Or(err, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=120s")
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("on a network of its own: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("on a network of its own: %s", out)
	}
	return false
}
