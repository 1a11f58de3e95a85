package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

func TestUsageAndProcessesOfARunningPod(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	// It stays the same process after its line: nothing to be early for.
	const script = `i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; echo up; while :; do :; done`
	spec := shell("p", script)
	spec.Container.Resources.Memory, spec.Container.Resources.Pids = 64<<20, 77
	spec.Container.User = "app"
	before := time.Now().Add(-time.Second)
	mustRun(t, e, spec, img)
	awaitOutput(t, e, "p", "up")
	u, err := e.Usage("p")
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU <= 0 || u.Host < u.CPU || u.CPUs < 1 || u.Memory <= 0 || u.MemoryLimit != 64<<20 || u.Pids != 1 || u.PidsLimit != 77 || u.Networks == nil {
		t.Errorf("usage is %+v", u)
	}
	procs, err := e.Processes("p")
	if err != nil || len(procs) != 1 {
		t.Fatalf("processes: %+v, %v", procs, err)
	}
	pod, _ := e.Pod("p")
	if p := procs[0]; p.Pid != pod.Pid || p.UID != 1000 || strings.Join(p.Args, " ") != "sh -c "+script || p.Started.Before(before) || p.TTY != "" || p.Resident <= 0 {
		t.Errorf("process is %+v, of pod %d", p, pod.Pid)
	}
	if err := e.StopPod(t.Context(), "p", new(time.Duration(0))); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Usage("p"); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("usage of a stopped pod: %v", err)
	}
	if _, err := e.Processes("p"); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("processes of a stopped pod: %v", err)
	}
}
