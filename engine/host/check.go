package host

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/oci"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// CheckCpuset refuses processors that this host does not have, or that are off.
func CheckCpuset(list string) error {
	b, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil || list == "" || valid.Cpuset(list) != nil {
		return nil // the runtime's to find, or told already
	}
	online := map[int]bool{}
	for part := range strings.SplitSeq(strings.TrimSpace(string(b)), ",") {
		for first, last := valid.CPURange(part); first <= last; first++ {
			online[first] = true
		}
	}
	for part := range strings.SplitSeq(list, ",") {
		for first, last := valid.CPURange(part); first <= last; first++ {
			if !online[first] {
				return fault.New(errdefs.ErrInvalidArgument, "cpuset %q: this host has no processor %d", list, first)
			}
		}
	}
	return nil
}

// journalSocket is where systemd's journal listens.
const journalSocket = "/run/systemd/journal/socket"

// CheckLog refuses the journal where there is none.
func CheckLog(l api.LogConfig) error {
	if _, err := os.Stat(journalSocket); l.Driver == api.LogJournald && err != nil {
		return fault.New(errdefs.ErrFailedPrecondition, "the logging driver %q needs systemd's journal, which does not run on this host", api.LogJournald)
	}
	return nil
}

// CheckSecurity refuses capabilities that there are not, what only a security module could do that is not on or does not know of
// it, and a seccomp profile that is none.
func CheckSecurity(c oci.Container) error {
	caps, err := c.Caps()
	if err != nil {
		return err
	}
	o, err := oci.ParseSecurityOpt(c.Spec.SecurityOpt)
	if err != nil {
		return err
	}
	if err := checkProfile(c.Host, o.AppArmor); err != nil {
		return err
	}
	profile, err := SeccompProfile(c.Spec.SecurityOpt)
	if err != nil || profile == "" {
		return err
	}
	with := specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
	s, err := seccomp.LoadProfile(profile, &with)
	if err == nil && s != nil {
		err = checkActions(s)
	}
	if err != nil {
		return fault.New(errdefs.ErrInvalidArgument, "%.200s is no seccomp profile: %w", o.Seccomp, err)
	}
	return nil
}

// seccompActions are what the runtimes know.
var seccompActions = []specs.LinuxSeccompAction{specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActErrno,
	specs.ActTrace, specs.ActAllow, specs.ActLog, specs.ActNotify}

func checkActions(s *specs.LinuxSeccomp) error {
	actions := []specs.LinuxSeccompAction{s.DefaultAction}
	for _, call := range s.Syscalls {
		actions = append(actions, call.Action)
	}
	for _, a := range actions {
		if !slices.Contains(seccompActions, a) {
			return fmt.Errorf("there is no action %q", a)
		}
	}
	return nil
}

// CheckTmpfs asks the kernel for the options that are its file system's; of the others it takes none with a value.
func CheckTmpfs(m api.Mount) error {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil // the mount will tell
	}
	defer unix.Close(fs)
	for _, o := range m.TmpfsOptions {
		if name, value, ok := strings.Cut(o, "="); ok && unix.FsconfigSetString(fs, name, value) != nil {
			return fault.New(errdefs.ErrInvalidArgument, "the kernel does not take the option %q of the tmpfs at %s", o, m.Target)
		}
	}
	return nil
}

// KernelLacks reports whether a path, which is clean, is one below /proc or /sys that this kernel has not. A container has cgroups
// and network interfaces of its own.
func KernelLacks(p string) bool {
	if !disk.IsBelow(p, "/proc") && !disk.IsBelow(p, "/sys") || disk.IsBelow(p, "/sys/fs/cgroup") || strings.Contains(p, "/net/") {
		return false
	}
	_, err := os.Stat(p)
	return errors.Is(err, os.ErrNotExist)
}

// ipcSysctls are the settings that each ipc namespace has of its own, beside fs.mqueue.*.
var ipcSysctls = []string{"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"}

// CheckSysctls refuses settings that would be the host's, or that its kernel does not have.
func CheckSysctls(p api.PodSpec) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.Container.Sysctls)) {
		network := strings.HasPrefix(name, "net.")
		ipc := !network && (strings.HasPrefix(name, "fs.mqueue.") || slices.Contains(ipcSysctls, name))
		switch {
		case ipc && p.IPC.Mode == api.NamespaceHost:
			errs = append(errs, fault.New(errdefs.ErrInvalidArgument, "sysctl %s would be set for the host's ipc", name))
		case network && p.Network.Mode == api.NetworkHost:
			errs = append(errs, fault.New(errdefs.ErrInvalidArgument, "sysctl %s would be set for the host's network", name))
		case !network && !ipc:
			errs = append(errs, fault.New(errdefs.ErrInvalidArgument, "sysctl %s would be set for the whole host: a container has its own only of net.*, fs.mqueue.* and the limits of System V IPC", name))
		default:
			errs = append(errs, checkSysctl(name, p.Container.Sysctls[name]))
		}
	}
	return errors.Join(errs...)
}

// checkSysctl refuses a setting that the host's kernel does not have, or a text where it has numbers.
func checkSysctl(name, value string) error {
	now, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(ofAnyInterface(name), ".", "/"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fault.New(errdefs.ErrInvalidArgument, "sysctl %s is not one of this kernel", name)
	case err == nil && numbers(string(now)) && !numbers(value) && !set(name):
		return fault.New(errdefs.ErrInvalidArgument, "sysctl %s takes numbers such as %q, and %.60q is none", name, strings.Join(strings.Fields(string(now)), " "), value)
	}
	return nil
}

// ofAnyInterface is the name of a setting with, in place of an interface that the host need not have, the default for all.
func ofAnyInterface(name string) string {
	p := strings.Split(name, ".")
	if len(p) == 5 && (p[2] == "conf" || p[2] == "neigh") && p[3] != "all" {
		p[3] = "default"
	}
	return strings.Join(p, ".")
}

// set reports whether a setting is a set of small numbers, which has a form of its own: a list of ranges, or a mask.
func set(name string) bool {
	return strings.HasSuffix(name, "_ports") || strings.HasSuffix(name, "_bitmap") || strings.HasSuffix(name, "_mask")
}

// numbers reports whether a text is one or more numbers, as the kernel reads them.
func numbers(s string) bool {
	fields := strings.Fields(s)
	for _, f := range fields {
		if _, err := strconv.ParseUint(strings.TrimPrefix(f, "-"), 0, 64); err != nil {
			return false
		}
	}
	return len(fields) > 0
}

// SeccompProfile reads the profile that security_opt names, if it names one.
func SeccompProfile(opts []string) (string, error) {
	o, err := oci.ParseSecurityOpt(opts)
	if err != nil || o.Seccomp == "" || o.Seccomp == "unconfined" || o.Seccomp == "builtin" {
		return "", err
	}
	if strings.HasPrefix(strings.TrimSpace(o.Seccomp), "{") {
		return o.Seccomp, nil
	}
	b, err := disk.ReadRegular(o.Seccomp, rootfs.MaxFile)
	if err != nil {
		return "", fmt.Errorf("cannot read the seccomp profile %s: %w", o.Seccomp, err)
	}
	return string(b), nil
}
