// Package cgroups knows the hierarchies of control groups, v1 and v2, and what a root of podc has in them: who is in a group, what it has
// used, how it is frozen and removed.
package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
)

// patience is how long a cgroup may stay busy after its last process was seen to end, or was killed: on a machine that has much else to
// do, even that takes its time.
const patience = 30 * time.Second

// copyCpuset gives new v1 cpuset groups the CPUs and memory nodes of their parent; empty ones admit no process.
func copyCpuset(dirs ...string) {
	for _, dir := range dirs {
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || strings.TrimSpace(string(b)) != "" {
				continue
			}
			if parent, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name)); err == nil {
				os.WriteFile(filepath.Join(dir, name), parent, 0)
			}
		}
	}
}

// hierarchies are the mounts of cgroups: one on v2, about a dozen on v1 and hybrid hosts. They are read once, since every
// start and end of a container asks several times: one that is mounted later is for programs that are started later.
var hierarchies = sync.OnceValue(func() []*mountinfo.Info {
	list, _ := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	return list
})

// mounts lists the root folder of every hierarchy.
func mounts() (points []string) {
	for _, m := range hierarchies() {
		points = append(points, m.Mountpoint)
	}
	return points
}

// mountsByController maps the middle field of /proc/<pid>/cgroup ("cpu,cpuacct", "name=systemd", "" for v2) to where
// that hierarchy is mounted.
func mountsByController() map[string]string {
	points := map[string]string{}
	for _, m := range hierarchies() {
		if m.FSType == "cgroup2" {
			points[""] = m.Mountpoint
			continue
		}
		var names []string
		for o := range strings.SplitSeq(m.VFSOptions, ",") {
			if o != "rw" && o != "ro" && o != "xattr" && o != "clone_children" && !strings.HasPrefix(o, "release_agent=") {
				names = append(names, o)
			}
		}
		points[strings.Join(names, ",")] = m.Mountpoint
	}
	return points
}

// PIDs lists the processes in a cgroup and below it: those of the first hierarchy that has it.
func PIDs(group string) []int {
	for _, m := range mounts() {
		var pids []int
		err := filepath.WalkDir(filepath.Join(m, group), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return err
			}
			pids = append(pids, kernel.PIDs(path)...)
			return nil
		})
		if err == nil {
			return pids
		}
	}
	return nil
}

// Remove removes a container's cgroup from every hierarchy. The runtime's own delete can leave some behind, for
// one when it was killed before it noted their path. Whatever still runs in one is killed: its container is over. Idempotent.
func Remove(group string) error {
	var errs []error
	for _, m := range mounts() {
		errs = append(errs, removeTree(filepath.Join(m, group), true))
	}
	return errors.Join(errs...)
}

// removeTree removes a cgroup and those below it. The kernel lets a task leave its cgroup a little after its end is
// visible, and tells nobody when, so a busy group is tried again for a while. With kill, what still runs there is killed.
func removeTree(dir string, kill bool) error {
	deadline := time.Now().Add(patience)
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := unix.Rmdir(dir)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			return nil
		case !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) || time.Now().After(deadline):
			return fmt.Errorf("cannot remove cgroup %s: %w", dir, err)
		}
		if kill {
			for _, pid := range kernel.PIDs(filepath.Join(dir, "cgroup.procs")) {
				kernel.Find(pid).Signal(unix.SIGKILL)
			}
		}
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.IsDir() {
				if err := removeTree(filepath.Join(dir, e.Name()), kill); err != nil {
					return err
				}
			}
		}
		<-time.After(pause)
	}
}

// dirIn is the folder of a cgroup in that of mounts that has a controller: that of v1, if the controller is mounted so, else
// that of v2, which is what unified says. Empty: there is neither.
func dirIn(mounts map[string]string, controller, group string) (dir string, unified bool) {
	for names, mount := range mounts {
		if slices.Contains(strings.Split(names, ","), controller) {
			return filepath.Join(mount, group), false
		}
	}
	if mount := mounts[""]; mount != "" {
		return filepath.Join(mount, group), true
	}
	return "", false
}

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
