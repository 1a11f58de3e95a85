package engine

import (
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"
)

// host is what spec generation must know of the machine. It is data, so that specs can be golden-tested anywhere.
type host struct {
	CgroupV2 bool
	// Caps are the capabilities that podc itself may pass on.
	Caps []string
	// Rlimits are the hard limits of podc, by OCI name: defaults are clamped to them.
	Rlimits map[string]uint64
	// Stack is the limit of podc's stack, which containers get unless they ask for another, in bytes.
	Stack   uint64
	Thermal []string // further paths to mask: per-CPU thermal throttling counters
	Lacks   []string // limits that this kernel does not offer, of optionalLimits
	// AppArmor says that it is on; Profile is the one of containers that ask for none.
	AppArmor bool
	Profile  string
	// RecursiveReadOnly says that a mount can be made read-only with all that is mounted below it.
	RecursiveReadOnly bool
}

// thisHost describes the machine; it is asked once per process.
var thisHost = sync.OnceValue(func() host {
	h := host{CgroupV2: cgroupV2(), Caps: boundingCaps(), Rlimits: map[string]uint64{}}
	for name, resource := range rlimitResources {
		var l unix.Rlimit
		if unix.Getrlimit(resource, &l) == nil {
			h.Rlimits[name] = l.Max
		}
	}
	h.Stack = stackLimit()
	h.Lacks = lackedLimits("/sys/fs/cgroup", h.CgroupV2)
	if h.AppArmor = hasAppArmor(); h.AppArmor {
		if _, err := lookupBinary("apparmor_parser"); err == nil {
			h.Profile = defaultProfile
		}
	}
	h.RecursiveReadOnly = unix.MountSetattr(-1, "", 0, &unix.MountAttr{}) != unix.ENOSYS
	h.Thermal, _ = filepath.Glob("/sys/devices/system/cpu/cpu*/thermal_throttle")
	return h
})

// stackLimit is the limit of podc's own stack, in bytes.
func stackLimit() uint64 {
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

func cgroupV2() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
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
