package cgroups

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/child"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// Root is what a root of podc has of cgroups. Containers live in <parent>/<id> in every hierarchy, made by the runtime. conmon, monitor
// and guardian live in <parent>/helpers wherever their caller was not in the root cgroup, so that they outlive the caller's own cgroup.
type Root struct {
	ID string // of the root
	// Active is the path of a lock: shared by whoever starts a container or a helper, held alone to remove what is empty, so that
	// the parent does not vanish under who starts.
	Active string
	Host   Host
}

// Parent is the cgroup of all of the root's, below each hierarchy's mount.
func (r Root) Parent() string { return filepath.Join(r.Host.Top(), "podc-"+r.ID) }

// helpers is that of conmon, monitor and guardian.
func (r Root) helpers() string { return filepath.Join(r.Parent(), "helpers") }

// ofRoot is the name of the cgroup of a root.
var ofRoot = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(^|/)podc-([0-9a-f]{8})(/|$)`) })

// Foreign reports whether group is, or lies in, the cgroup of another root, which takes all that is in it for its own.
func (r Root) Foreign(group string) bool {
	if group == "" {
		return false
	}
	m := ofRoot().FindStringSubmatch(group)
	return m != nil && m[2] != r.ID
}

// Of is the cgroup of the container id, in the parent that it asks for, or in the root's if that is empty.
func (r Root) Of(id, parent string) string {
	if parent != "" {
		return filepath.Join("/", parent, id)
	}
	return r.Parent() + "/" + id
}

// Containers lists the folders of cgroups in the root's own, by the ids of their containers.
func (r Root) Containers() map[string][]string {
	found := map[string][]string{}
	for _, m := range mounts() {
		entries, _ := os.ReadDir(filepath.Join(m, r.Parent())) // of a cgroup that is going the kernel lists nothing
		for _, e := range entries {
			if e.IsDir() && e.Name() != filepath.Base(r.helpers()) {
				found[e.Name()] = append(found[e.Name()], filepath.Join(m, r.Parent(), e.Name()))
			}
		}
	}
	return found
}

// Stray is the folder of a parent of the root's in which nobody is, or is about to be; "" if there is none.
func (r Root) Stray() string {
	for _, m := range mounts() {
		parent := filepath.Join(m, r.Parent())
		if _, err := os.Stat(parent); err != nil || len(PIDs(r.Parent())) > 0 {
			continue
		}
		l, err := disk.TryLock(r.Active)
		if err != nil {
			return ""
		}
		l.Unlock()
		return parent
	}
	return ""
}

// Escape moves pid out of the cgroups of this process, into one of the root's own. A CI step, a terminal's scope or an
// ssh session is ended by killing its cgroup; what podc leaves running must not be in it. It needs the active lock, shared.
func (r Root) Escape(pid int) error {
	f, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return err
	}
	defer f.Close()
	mounts := mountsByController()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		_, rest, _ := strings.Cut(sc.Text(), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		mount := mounts[controllers]
		if !ok || path == "/" || mount == "" {
			continue
		}
		dir := filepath.Join(mount, r.helpers())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("cannot make cgroup %s: %w", dir, err)
		}
		copyCpuset(filepath.Join(mount, r.Parent()), dir)
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("cannot move process %d to cgroup %s: %w", pid, dir, err)
		}
	}
	return nil
}

// mark is the extended attribute by which a root knows the parents that it made itself: those of others stay.
func (r Root) mark() string { return r.Host.marks() + "podc-" + r.ID }

// MakeParents makes the cgroups above group, one that lies in a parent that was asked for, where they are missing. It needs the active
// lock, shared.
func (r Root) MakeParents(group string) error {
	for _, m := range mounts() {
		dir := m
		for part := range strings.SplitSeq(strings.Trim(filepath.Dir(group), "/"), "/") {
			dir = filepath.Join(dir, part)
			err := os.Mkdir(dir, 0o755)
			if errors.Is(err, fs.ErrExist) {
				continue
			}
			if err == nil {
				err = unix.Setxattr(dir, r.mark(), []byte{'1'}, 0)
			}
			if err != nil {
				return fmt.Errorf("cannot make the cgroup %s: %w", dir, err)
			}
			copyCpuset(dir)
		}
	}
	return nil
}

// RemoveParents removes what MakeParents made, once nothing is in it any more. Idempotent.
func (r Root) RemoveParents(group string) error {
	l, err := disk.LockWait(context.Background(), r.Active, disk.Wait{For: activeFor, Patience: parentPatience})
	if err != nil {
		return nil // somebody is starting something: the parent is theirs to remove
	}
	defer l.Unlock()
	for _, m := range mounts() {
		for group := filepath.Dir(group); group != "/"; group = filepath.Dir(group) {
			dir := filepath.Join(m, group)
			if n, err := unix.Getxattr(dir, r.mark(), nil); err != nil || n == 0 {
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
	// parentPatience is how long the end of a pod waits for those that start, to remove the parent of its cgroup.
	parentPatience = 5 * time.Second
	// activeFor is what the active lock protects.
	activeFor = "the cgroups of this root"
	// activePatience bounds the wait for who has them alone: to remove them takes a moment.
	activePatience = time.Minute
	// idlePatience is how long helpers of the last pod may take to end on a machine that has much else to do.
	idlePatience = 30 * time.Second
)

// Use keeps the root's cgroups from being removed until it is unlocked.
func (r Root) Use(ctx context.Context) (*disk.Lock, error) {
	return disk.LockShared(ctx, r.Active, disk.Wait{For: activeFor, Patience: activePatience})
}

// RemoveIdle removes the root's cgroups if no container and no helper is in them. Where nobody is meant to stay, helpers that are about
// to end are waited for, until they have left their cgroup. Idempotent.
func (r Root) RemoveIdle(ctx context.Context, nobody bool) error {
	l, err := r.awaitIdle(ctx, nobody)
	if err != nil {
		return nil // somebody is starting something: not idle
	}
	defer l.Unlock()
	var errs []error
	for _, m := range mounts() {
		parent, helpers := filepath.Join(m, r.Parent()), filepath.Join(m, r.helpers())
		procs, _ := os.ReadFile(filepath.Join(helpers, "cgroup.procs"))
		groups, _ := filepath.Glob(filepath.Join(parent, "*", "cgroup.procs"))
		containers := slices.DeleteFunc(groups, func(g string) bool { return filepath.Dir(g) == helpers })
		if len(procs) == 0 && len(containers) == 0 {
			errs = append(errs, removeTree(parent, false))
		}
	}
	return errors.Join(errs...)
}

// awaitIdle takes the active lock if nobody starts anything.
func (r Root) awaitIdle(ctx context.Context, nobody bool) (*disk.Lock, error) {
	if !nobody {
		return disk.TryLock(r.Active)
	}
	ctx, cancel := context.WithTimeout(ctx, idlePatience)
	defer cancel()
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		helpers := PIDs(r.helpers())
		if len(helpers) == 0 {
			return disk.LockWait(ctx, r.Active, disk.Wait{For: activeFor, Patience: idlePatience})
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

// Where systemd runs on cgroups v2, all that podc starts lies below a slice, which competes as one with those of the system and of
// users, and whose limits people set (systemctl set-property podc.slice MemoryMax=4G). systemd takes what is in a slice for its own:
// so below it is a unit of which it knows that others make cgroups there (Delegate). It is without processes of its own, the same
// for all roots, and stays until the machine goes down.
const (
	slice     = "podc.slice"
	sliceUnit = "podc-containers.service"
)

// Host is what differs for cgroups between one machine, or one user of it, and the next.
type Host struct {
	V2      bool // the unified hierarchy alone
	Systemd bool // is the machine's init
	// Delegated is the cgroup in which podc may make others, of a user whose they are; "": in all, podc runs as root.
	Delegated string
}

// This is the machine's; it is asked once per process.
var This = sync.OnceValue(func() Host {
	var st unix.Statfs_t
	return Host{V2: unix.Statfs(Folder, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC, Systemd: SystemdRuns()}
})

// Folder is where the hierarchies are mounted.
const Folder = "/sys/fs/cgroup"

// Top is where the cgroups of roots lie, below each hierarchy's mount.
func (h Host) Top() string {
	if !h.Systemd || !h.V2 {
		return filepath.Join("/", h.Delegated)
	}
	return filepath.Join("/", h.Delegated, slice, sliceUnit)
}

// marks is the namespace of extended attributes in which a root marks its cgroups: only root has those that are trusted.
func (h Host) marks() string {
	if h.Delegated != "" {
		return "user."
	}
	return "trusted."
}

// SystemdRuns reports whether systemd is this machine's init.
func SystemdRuns() bool {
	_, err := os.Lstat("/run/systemd/system")
	return err == nil
}

// slicePatience bounds the wait for systemd, which may be busy with the start of the machine.
const slicePatience = time.Minute

// StartSlice has systemd make the slice and the unit, with the first container after a start of the machine. Where it does not,
// as for a podc in a container that sees the host's systemd, containers run all the same, in cgroups that systemd knows nothing of.
// Idempotent.
func (h Host) StartSlice(ctx context.Context) {
	if _, err := os.Lstat(filepath.Join(Folder, h.Top())); err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, slicePatience)
	defer cancel()
	child.Command(ctx, "systemd-run", "--quiet", "--slice="+slice, "--unit="+sliceUnit, "--description=containers of podc",
		"--service-type=oneshot", "--remain-after-exit", "--property=Delegate=yes", "--property=TasksMax=infinity",
		"--property=OOMPolicy=continue", "true").Run()
}
