package engine

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
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

// The accounting of cgroup v2, from files as the kernel writes them.
func TestUsageIsReadFromTheUnifiedHierarchyToo(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"cpu.stat":       "usage_usec 3000000\nuser_usec 2000000\nsystem_usec 1000000\n",
		"memory.current": "5000\n", "memory.max": "9000\n", "memory.stat": "anon 1\ninactive_file 2000\n",
		"io.stat": "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n", "pids.current": "4\n", "pids.max": "max\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g := accounts{mounts: map[string]string{"": dir}, group: "/"}
	var u api.Usage
	g.cpu(&u)
	g.memory(&u)
	g.blocks(&u)
	u.Pids, u.PidsLimit = g.number("pids", "pids.current"), g.number("pids", "pids.max")
	want := api.Usage{CPU: 3 * time.Second, User: 2 * time.Second, System: time.Second, Memory: 5000, Cache: 2000, MemoryLimit: 9000, BlockRead: 11, BlockWrite: 22, Pids: 4}
	if u.CPU != want.CPU || u.User != want.User || u.System != want.System || u.Memory != want.Memory || u.Cache != want.Cache ||
		u.MemoryLimit != want.MemoryLimit || u.BlockRead != want.BlockRead || u.BlockWrite != want.BlockWrite || u.Pids != want.Pids || u.PidsLimit != 0 {
		t.Errorf("got %+v\nwant %+v", u, want)
	}
}
