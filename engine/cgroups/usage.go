package cgroups

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
)

// Usage reads what a cgroup has used, and uses: processors, memory, block devices, processes.
func Usage(group string) api.Usage {
	u := api.Usage{Read: time.Now()}
	g := accounts{mounts: mountsByController(), group: group}
	g.cpu(&u)
	g.memory(&u)
	g.blocks(&u)
	u.Pids, u.PidsLimit = g.number("pids", "pids.current"), g.number("pids", "pids.max")
	return u
}

// accounts reads the accounting files of one cgroup. What is not accounted for is 0.
type accounts struct {
	mounts map[string]string
	group  string
}

func (g accounts) read(controller, v1, v2 string) (content string, unified bool) {
	dir, unified := dirIn(g.mounts, controller, g.group)
	name := v1
	if unified {
		name = v2
	}
	b, _ := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(string(b)), unified
}

func (g accounts) number(controller, file string) int64 {
	s, _ := g.read(controller, file, file)
	return kernel.ParseCount(s)
}

func (g accounts) cpu(u *api.Usage) {
	if s, unified := g.read("cpuacct", "cpuacct.usage", "cpu.stat"); unified {
		stat := pairs(s)
		u.CPU = time.Duration(stat["usage_usec"]) * time.Microsecond
		u.User, u.System = time.Duration(stat["user_usec"])*time.Microsecond, time.Duration(stat["system_usec"])*time.Microsecond
	} else {
		u.CPU = time.Duration(kernel.ParseCount(s))
		s, _ = g.read("cpuacct", "cpuacct.stat", "")
		stat := pairs(s)
		u.User, u.System = time.Duration(stat["user"])*kernel.Tick, time.Duration(stat["system"])*kernel.Tick
	}
}

func (g accounts) memory(u *api.Usage) {
	s, _ := g.read("memory", "memory.usage_in_bytes", "memory.current")
	u.Memory = kernel.ParseCount(s)
	s, unified := g.read("memory", "memory.stat", "memory.stat")
	key := "total_inactive_file"
	if unified {
		key = "inactive_file"
	}
	u.Cache = min(pairs(s)[key], u.Memory)
	s, _ = g.read("memory", "memory.limit_in_bytes", "memory.max")
	u.MemoryLimit = kernel.ParseCount(s)
	if host := kernel.Memory(); host > 0 && (u.MemoryLimit <= 0 || u.MemoryLimit > host) {
		u.MemoryLimit = host
	}
}

func (g accounts) blocks(u *api.Usage) {
	s, unified := g.read("blkio", "blkio.throttle.io_service_bytes_recursive", "")
	if unified {
		s, _ = g.read("io", "", "io.stat")
	}
	for line := range strings.Lines(s) {
		f := strings.Fields(line)
		switch {
		case unified: // "8:0 rbytes=1 wbytes=2 ..."
			for _, kv := range f {
				k, v, _ := strings.Cut(kv, "=")
				switch k {
				case "rbytes":
					u.BlockRead += kernel.ParseCount(v)
				case "wbytes":
					u.BlockWrite += kernel.ParseCount(v)
				}
			}
		case len(f) == 3 && f[1] == "Read": // "8:0 Read 1"
			u.BlockRead += kernel.ParseCount(f[2])
		case len(f) == 3 && f[1] == "Write":
			u.BlockWrite += kernel.ParseCount(f[2])
		}
	}
}

// pairs reads lines of a word and a number.
func pairs(s string) map[string]int64 {
	m := map[string]int64{}
	for line := range strings.Lines(s) {
		if k, v, ok := strings.Cut(line, " "); ok {
			m[k] = kernel.ParseCount(v)
		}
	}
	return m
}
