// Package host knows what this machine offers to containers: capabilities, limits, devices, security modules, programs. It says before
// anything is made what cannot be had of it.
package host

import (
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"podc.example/podc/engine/cgroups"
	"podc.example/podc/engine/oci"
)

// This describes the machine; it is asked once per process.
var This = sync.OnceValue(func() oci.Host {
	h := oci.Host{CgroupV2: cgroups.V2(), Caps: boundingCaps(), Rlimits: map[string]uint64{}}
	for name, resource := range rlimitResources {
		var l unix.Rlimit
		if unix.Getrlimit(resource, &l) == nil {
			h.Rlimits[name] = l.Max
		}
	}
	h.Stack = StackLimit()
	h.Lacks = oci.LackedLimits("/sys/fs/cgroup", h.CgroupV2)
	if h.AppArmor = hasAppArmor(); h.AppArmor {
		if _, err := Lookup("apparmor_parser"); err == nil {
			h.Profile = oci.DefaultProfile
		}
	}
	h.RecursiveReadOnly = unix.MountSetattr(-1, "", 0, &unix.MountAttr{}) != unix.ENOSYS
	h.Thermal, _ = filepath.Glob("/sys/devices/system/cpu/cpu*/thermal_throttle")
	return h
})

// StackLimit is the limit of podc's own stack, in bytes.
func StackLimit() uint64 {
	var l unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_STACK, &l) // which cannot fail
	return l.Cur
}

var rlimitResources = map[string]int{
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_DATA": unix.RLIMIT_DATA,
	"RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
	"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE,
	"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME": unix.RLIMIT_RTTIME, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
}

func boundingCaps() []string {
	var caps []string
	for _, c := range capability.ListKnown() {
		if ok, err := capability.GetBound(c); ok && err == nil {
			caps = append(caps, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	sort.Strings(caps)
	return caps
}
