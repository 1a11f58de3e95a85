package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// Containers live in <parent of the root>/<id> in every hierarchy, made by the runtime. conmon, monitor and guardian live in
// <parent>/helpers wherever their caller was not in the root cgroup, so that they outlive the caller's own cgroup.

// cgroup is that of the pod's container, below each hierarchy's mount.
func (p *pod) cgroup() string {
	if parent := p.Spec.Container.CgroupParent; parent != "" {
		return filepath.Join("/", parent, p.ID)
	}
	return p.e.paths.cgroup() + "/" + p.ID
}

// escapeCgroup moves pid out of the cgroups of this process, into one of the root's own. A CI step, a terminal's scope or an
// ssh session is ended by killing its cgroup; what podc leaves running must not be in it.
func (p paths) escapeCgroup(pid int) error {
	f, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return err
	}
	defer f.Close()
	mounts := cgroupMountsByController()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		_, rest, _ := strings.Cut(sc.Text(), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		mount := mounts[controllers]
		if !ok || path == "/" || mount == "" {
			continue
		}
		dir := filepath.Join(mount, p.cgroup(), "helpers")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("cannot make cgroup %s: %w", dir, err)
		}
		copyCpuset(filepath.Join(mount, p.cgroup()), dir)
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("cannot move process %d to cgroup %s: %w", pid, dir, err)
		}
	}
	return nil
}

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

// cgroupHierarchies are the mounts of cgroups: one on v2, about a dozen on v1 and hybrid hosts. They are read once, since every
// start and end of a container asks several times: one that is mounted later is for programs that are started later.
var cgroupHierarchies = sync.OnceValue(func() []*mountinfo.Info {
	mounts, _ := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	return mounts
})

// cgroupMounts lists the root folder of every hierarchy.
func cgroupMounts() (points []string) {
	for _, m := range cgroupHierarchies() {
		points = append(points, m.Mountpoint)
	}
	return points
}

// cgroupMountsByController maps the middle field of /proc/<pid>/cgroup ("cpu,cpuacct", "name=systemd", "" for v2) to where
// that hierarchy is mounted.
func cgroupMountsByController() map[string]string {
	mounts := map[string]string{}
	for _, m := range cgroupHierarchies() {
		if m.FSType == "cgroup2" {
			mounts[""] = m.Mountpoint
			continue
		}
		var names []string
		for o := range strings.SplitSeq(m.VFSOptions, ",") {
			if o != "rw" && o != "ro" && o != "xattr" && o != "clone_children" && !strings.HasPrefix(o, "release_agent=") {
				names = append(names, o)
			}
		}
		mounts[strings.Join(names, ",")] = m.Mountpoint
	}
	return mounts
}

// cgroupPids lists the processes in a cgroup and below it: those of the first hierarchy that has it.
func cgroupPids(group string) []int {
	for _, m := range cgroupMounts() {
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

// removeCgroup removes a container's cgroup from every hierarchy. The runtime's own delete can leave some behind, for
// one when it was killed before it noted their path. Whatever still runs in one is killed: its container is over. Idempotent.
func removeCgroup(group string) error {
	var errs []error
	for _, m := range cgroupMounts() {
		errs = append(errs, removeCgroupTree(filepath.Join(m, group), true))
	}
	return errors.Join(errs...)
}

// markCgroup is the extended attribute by which a root knows the parents that it made itself: those of others stay.
func (p paths) markCgroup() string { return "trusted.podc-" + p.id }

// makeCgroupParent makes the cgroups that cgroup_parent names, where they are missing. It needs the active lock, shared.
func (p *pod) makeCgroupParent() error {
	if p.Spec.Container.CgroupParent == "" {
		return nil
	}
	for _, m := range cgroupMounts() {
		dir := m
		for part := range strings.SplitSeq(strings.Trim(filepath.Dir(p.cgroup()), "/"), "/") {
			dir = filepath.Join(dir, part)
			err := os.Mkdir(dir, 0o755)
			if errors.Is(err, fs.ErrExist) {
				continue
			}
			if err == nil {
				err = unix.Setxattr(dir, p.e.paths.markCgroup(), []byte{'1'}, 0)
			}
			if err != nil {
				return fmt.Errorf("cannot make the cgroup %s: %w", dir, err)
			}
			copyCpuset(dir)
		}
	}
	return nil
}

// removeCgroupParent removes what makeCgroupParent made, once nothing is in it any more. Idempotent.
func (p *pod) removeCgroupParent() error {
	if p.Spec.Container.CgroupParent == "" {
		return nil
	}
	l, err := disk.LockWait(context.Background(), p.e.paths.activeLock(), disk.Wait{For: activeFor, Patience: parentPatience})
	if err != nil {
		return nil // somebody is starting something: the parent is theirs to remove
	}
	defer l.Unlock()
	for _, m := range cgroupMounts() {
		for group := filepath.Dir(p.cgroup()); group != "/"; group = filepath.Dir(group) {
			dir := filepath.Join(m, group)
			if n, err := unix.Getxattr(dir, p.e.paths.markCgroup(), nil); err != nil || n == 0 {
				break
			}
			if unix.Rmdir(dir) != nil {
				break // it holds others
			}
		}
	}
	return nil
}

const (
	// cgroupPatience is how long a cgroup may stay busy after its last process was seen to end, or was killed: on a machine that
	// has much else to do, even that takes its time.
	cgroupPatience = 30 * time.Second
	// parentPatience is how long the end of a pod waits for those that start, to remove the parent of its cgroup.
	parentPatience = 5 * time.Second
)

// removeCgroupTree removes a cgroup and those below it. The kernel lets a task leave its cgroup a little after its end is
// visible, and tells nobody when, so a busy group is tried again for a while. With kill, what still runs there is killed.
func removeCgroupTree(dir string, kill bool) error {
	deadline := time.Now().Add(cgroupPatience)
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
				if err := removeCgroupTree(filepath.Join(dir, e.Name()), kill); err != nil {
					return err
				}
			}
		}
		<-time.After(pause)
	}
}

// idlePatience is how long helpers of the last pod may take to end on a machine that has much else to do.
const idlePatience = 30 * time.Second

// awaitIdle takes the active lock if nobody starts anything. Without a pod nobody is meant to stay: then helpers that are
// about to end are waited for, until they have left their cgroup.
func (e *Engine) awaitIdle(ctx context.Context) (*disk.Lock, error) {
	if pods, err := listDir(e.paths.pods()); err != nil || len(pods) > 0 {
		return disk.TryLock(e.paths.activeLock())
	}
	ctx, cancel := context.WithTimeout(ctx, idlePatience)
	defer cancel()
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		helpers := cgroupPids(e.paths.cgroup() + "/helpers")
		if len(helpers) == 0 {
			return disk.LockWait(ctx, e.paths.activeLock(), disk.Wait{For: activeFor, Patience: idlePatience})
		}
		for _, pid := range helpers {
			if err := kernel.Find(pid).Wait(ctx); err != nil {
				return nil, err
			}
		}
		select { // the kernel lets a task leave its cgroup a little after its end is visible
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// activeFor is what the active lock protects.
const activeFor = "the cgroups of this root"

// activePatience bounds the wait for who has them alone: to remove them takes a moment.
const activePatience = time.Minute

// lockActive keeps the root's cgroups from being removed.
func (e *Engine) lockActive(ctx context.Context) (*disk.Lock, error) {
	return disk.LockShared(ctx, e.paths.activeLock(), disk.Wait{For: activeFor, Patience: activePatience})
}

// removeIdleCgroups removes the parent cgroups of this root if no container and no helper is in them. Whoever starts one
// holds the active lock shared meanwhile, so that the parent does not vanish under it.
func (e *Engine) removeIdleCgroups(ctx context.Context) error {
	l, err := e.awaitIdle(ctx)
	if err != nil {
		return nil // somebody is starting something: not idle
	}
	defer l.Unlock()
	var errs []error
	for _, m := range cgroupMounts() {
		parent := filepath.Join(m, e.paths.cgroup())
		helpers := filepath.Join(parent, "helpers")
		procs, _ := os.ReadFile(filepath.Join(helpers, "cgroup.procs"))
		groups, _ := filepath.Glob(filepath.Join(parent, "*", "cgroup.procs"))
		containers := slices.DeleteFunc(groups, func(g string) bool { return filepath.Dir(g) == helpers })
		if len(procs) == 0 && len(containers) == 0 {
			errs = append(errs, removeCgroupTree(parent, false))
		}
	}
	return errors.Join(errs...)
}
