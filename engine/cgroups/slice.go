package cgroups

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

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

// top is where the cgroups of roots lie, below each hierarchy's mount.
var top = sync.OnceValue(func() string {
	if !SystemdRuns() || !V2() {
		return "/"
	}
	return filepath.Join("/", slice, sliceUnit)
})

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
func StartSlice(ctx context.Context) {
	if _, err := os.Lstat(filepath.Join("/sys/fs/cgroup", top())); err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, slicePatience)
	defer cancel()
	child.Command(ctx, "systemd-run", "--quiet", "--slice="+slice, "--unit="+sliceUnit, "--description=containers of podc",
		"--service-type=oneshot", "--remain-after-exit", "--property=Delegate=yes", "--property=TasksMax=infinity",
		"--property=OOMPolicy=continue", "true").Run()
}
