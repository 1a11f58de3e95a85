package cgroups

import (
	"os"
	"testing"
	"time"

	"podc.example/podc/api"
)

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
