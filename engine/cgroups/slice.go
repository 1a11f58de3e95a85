package cgroups

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/child"
)

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
