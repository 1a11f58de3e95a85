package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// oldestKernel is the oldest that podc is made for; see ARCHITECTURE.md, Kernels.
const oldestKernel = "5.15"

// spaces are the kinds of namespaces that containers get.
var spaces = []string{"ipc", "mnt", "net", "pid", "uts"}

func kernel(_ context.Context, h Host) []Finding {
	return []Finding{h.kernelVersion(), h.namespaces(), h.seccomp(), h.appArmor(), h.overlay()}
}

func (h Host) kernelVersion() Finding {
	release := h.read("/proc/sys/kernel/osrelease")
	switch {
	case release == "":
		return Finding{"kernel", Missing, "cannot read /proc/sys/kernel/osrelease", "mount /proc: mount -t proc proc /proc"}
	case older(release, oldestKernel):
		return Finding{"kernel", Missing, fmt.Sprintf("Linux %s; podc needs %s", release, oldestKernel), "upgrade the kernel"}
	}
	return fine("kernel", "Linux "+release)
}

func (h Host) namespaces() Finding {
	var missing []string
	for _, kind := range spaces {
		if _, err := os.Lstat(h.file("/proc/self/ns/" + kind)); err != nil {
			missing = append(missing, kind)
		}
	}
	if len(missing) > 0 {
		return Finding{"namespaces", Missing, "the kernel has none of: " + strings.Join(missing, ", "), "use a kernel with CONFIG_NAMESPACES and its kinds"}
	}
	return fine("namespaces", strings.Join(spaces, " "))
}

func (h Host) seccomp() Finding {
	if strings.Contains(h.read("/proc/sys/kernel/seccomp/actions_avail"), "errno") {
		return fine("seccomp", "system calls of containers are filtered")
	}
	return Finding{"seccomp", Missing, "the kernel does not filter system calls", "use a kernel with CONFIG_SECCOMP_FILTER"}
}

func (h Host) appArmor() Finding {
	switch on := strings.HasPrefix(h.read("/sys/module/apparmor/parameters/enabled"), "Y"); {
	case !on:
		return fine("apparmor", "not on")
	case h.find("apparmor_parser") == "":
		return Finding{"apparmor", Warning, "it is on, but apparmor_parser is missing: containers have no profile", "install it: apt-get install apparmor"}
	}
	return fine("apparmor", "containers are confined by the profile podc-default")
}

func (h Host) overlay() Finding {
	if strings.Contains(h.read("/proc/filesystems")+"\n", "\toverlay\n") {
		return fine("overlayfs", "in the kernel")
	}
	release := h.read("/proc/sys/kernel/osrelease")
	if found, _ := filepath.Glob(h.file("/lib/modules/" + release + "/kernel/fs/overlayfs/overlay.ko*")); len(found) > 0 {
		return fine("overlayfs", "a module that is loaded when it is needed")
	}
	return Finding{"overlayfs", Missing, "the kernel does not have it", "load it (modprobe overlay), or use a kernel with CONFIG_OVERLAY_FS"}
}

// controllers are those that limits of containers need.
var controllers = []string{"cpu", "cpuset", "memory", "pids"}

func cgroups(_ context.Context, h Host) []Finding {
	unified := h.read("/sys/fs/cgroup/cgroup.controllers")
	if _, err := os.Stat(h.file("/sys/fs/cgroup/cgroup.controllers")); err == nil && unified == "" {
		return []Finding{{"cgroups", Missing, "v2 is mounted at /sys/fs/cgroup, without controllers: others hold them, or they were not handed on to this container",
			"boot with systemd.unified_cgroup_hierarchy=1 and without cgroup_disable; in a container, give it a cgroup namespace of its own with all controllers"}}
	}
	if unified != "" {
		return []Finding{h.missingControllers("v2", func(c string) bool { return strings.Contains(" "+unified+" ", " "+c+" ") })}
	}
	held := h.read("/sys/fs/cgroup/unified/cgroup.controllers")
	v1 := func(c string) bool {
		found, _ := filepath.Glob(h.file("/sys/fs/cgroup/*" + c + "*/cgroup.procs"))
		return len(found) > 0
	}
	if held != "" {
		return []Finding{{"cgroups", Missing, "the unified hierarchy of this hybrid host holds controllers: " + held + "; crun refuses that",
			"mount each as a hierarchy of its own: mkdir -p /sys/fs/cgroup/NAME && mount -t cgroup -o NAME cgroup /sys/fs/cgroup/NAME"}}
	}
	if _, err := os.Stat(h.file("/sys/fs/cgroup")); err != nil || !v1("memory") && !v1("pids") && !v1("cpu") {
		return []Finding{{"cgroups", Missing, "none mounted at /sys/fs/cgroup", "mount them: mount -t cgroup2 none /sys/fs/cgroup"}}
	}
	return []Finding{h.missingControllers("v1", v1)}
}

func (h Host) missingControllers(version string, has func(string) bool) Finding {
	var missing []string
	for _, c := range controllers {
		if !has(c) {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return Finding{"cgroups", Warning, fmt.Sprintf("%s, without %s: limits of that kind cannot be set", version, strings.Join(missing, ", ")),
			"switch them on with the kernel's command line (cgroup_enable=" + missing[0] + "), or in the parent's cgroup.subtree_control"}
	}
	return fine("cgroups", version+" with "+strings.Join(controllers, " "))
}

// read is the content of a small system file, trimmed; "" if it cannot be read.
func (h Host) read(path string) string {
	b, _ := os.ReadFile(h.file(path))
	return strings.TrimSpace(string(b))
}
