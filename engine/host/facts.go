// Package host knows what this machine offers to containers: capabilities, limits, devices, security modules, programs. It says before
// anything is made what cannot be had of it.
package host

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"podc.example/podc/engine/cgroups"
	"podc.example/podc/engine/oci"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// Facts are what a machine is like, and who podc is on it, as far as containers depend on that. All that Host says follows from them.
type Facts struct {
	Cgroups     cgroups.Host
	Hierarchies oci.Hierarchies
	IDs         []kernel.IDRange // of podc's user namespace
	Caps        []string         // podc's bounding set
	Rlimits     map[string]uint64
	Stack       uint64
	OOMScore    int
	AppArmor    bool // is on
	Parser      bool // of AppArmor's policies: there is one
	Thermal     []string
	MountAttrs  bool // the kernel can change the attributes of all mounts below one
}

// facts looks at this machine.
func facts() Facts {
	f := Facts{Cgroups: cgroups.This(), IDs: kernel.UserIDs(), Caps: boundingCaps(), Rlimits: map[string]uint64{}, Stack: StackLimit(), OOMScore: kernel.OOMScore()}
	for name, resource := range rlimitResources {
		var l unix.Rlimit
		if unix.Getrlimit(resource, &l) == nil {
			f.Rlimits[name] = l.Max
		}
	}
	f.Hierarchies = hierarchies(filepath.Join(cgroups.Folder, f.Cgroups.Delegated), f.Cgroups.V2)
	f.Hierarchies.BPF = f.ownsMachine()
	if f.AppArmor = hasAppArmor(); f.AppArmor {
		_, err := Lookup("apparmor_parser")
		f.Parser = err == nil
	}
	f.MountAttrs = unix.MountSetattr(-1, "", 0, &unix.MountAttr{}) != unix.ENOSYS
	f.Thermal, _ = filepath.Glob("/sys/devices/system/cpu/cpu*/thermal_throttle")
	return f
}

// ownsMachine reports whether podc is in the user namespace that the machine began with, to which all that it has belongs.
func (f Facts) ownsMachine() bool { return kernel.AllIDs(f.IDs) }

// Host is what follows from the facts.
func (f Facts) Host() Host {
	owns := f.ownsMachine()
	h := Host{Cgroups: f.Cgroups, UserXattrs: !owns, Host: oci.Host{
		CgroupV2: f.Cgroups.V2, Caps: f.Caps, Rlimits: f.Rlimits, Stack: f.Stack, Thermal: f.Thermal, Lacks: f.Hierarchies.Lacks(),
		OOMScore: f.OOMScore, MayExceed: owns && slices.Contains(f.Caps, "CAP_SYS_RESOURCE"),
		AppArmor: f.AppArmor, RecursiveReadOnly: f.MountAttrs, Lent: !owns, NoNodes: !owns,
	}}
	if f.AppArmor && f.Parser && owns {
		h.Profile = oci.DefaultProfile
	}
	if !owns {
		for _, r := range f.IDs {
			h.IDs += r.Count
		}
	}
	return h
}

// hierarchies looks at the cgroups that are mounted at folder.
func hierarchies(folder string, v2 bool) oci.Hierarchies {
	h := oci.Hierarchies{V2: v2}
	if v2 {
		h.Offered, h.Enabled = controllersIn(folder, "cgroup.controllers"), controllersIn(folder, "cgroup.subtree_control")
	}
	for _, pattern := range h.Patterns() {
		if files, _ := filepath.Glob(filepath.Join(folder, pattern)); len(files) > 0 {
			h.Files = append(h.Files, pattern)
		}
	}
	return h
}

// controllersIn reads a list of controllers.
func controllersIn(folder, name string) []string {
	b, _ := disk.ReadFile(filepath.Join(folder, name))
	return strings.Fields(string(b))
}

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
	slices.Sort(caps)
	return caps
}

// Host is everything that differs for containers between one machine, or one user of it, and the next. Whoever needs to know asks it
// for what is the case, and not why.
type Host struct {
	oci.Host // what configurations follow from
	Cgroups  cgroups.Host
	// UserXattrs says that overlays keep their marks in extended attributes that any user may set.
	UserXattrs bool
}

// This is the machine that podc runs on; it is looked at once per process.
var This = sync.OnceValue(func() Host { return facts().Host() })
