package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/oci"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
	"podc.example/podc/volumes"
)

// possible says what cannot be had of the host, before anything is made.
type possible struct{ e *Engine }

// CheckPods fails with every value of the specs that is wrong, and with everything that this host cannot give: names that other
// groups have taken, sources of binds, devices, capabilities, limits, seccomp profiles, settings of the kernel. It is for before
// anything is made; a creation or a start finds the same again.
func (c *possible) CheckPods(_ context.Context, pods []api.PodSpec) error {
	var errs []error
	for _, p := range pods {
		errs = append(errs, podError("create", p.Name, errors.Join(c.checkName(p), c.checkCgroupParent(p), checkPossible(p), c.checkBorrowed(p, pods))))
	}
	return errors.Join(errs...)
}

// checkName refuses the name of a pod of another group.
func (c *possible) checkName(p api.PodSpec) error {
	if _, err := os.Stat(c.e.paths.spec(p.Name)); err != nil {
		return nil
	}
	have, err := c.e.read(p.Name)
	if err != nil || have.Spec.Group == p.Group {
		return nil // the plan has seen it, and knows what to do
	}
	return fault.New(errdefs.ErrAlreadyExists, "the container name %q is already in use by container %.12s of project %q", p.Name, have.ID, have.Spec.Group)
}

func checkPossible(p api.PodSpec) error {
	errs := []error{checkValues(p), checkSysctls(p)}
	for _, m := range p.Container.Mounts {
		switch m.Type {
		case api.MountBind:
			errs = append(errs, checkSource(m))
		case api.MountTmpfs:
			errs = append(errs, checkTmpfs(m))
		}
		if m.AllReadOnly && !thisHost().RecursiveReadOnly {
			errs = append(errs, fault.New(errdefs.ErrFailedPrecondition, "the kernel cannot make all below %s read-only (Linux 5.12 can)", m.Source))
		}
		errs = append(errs, checkPropagation(m))
	}
	c := oci.Container{Spec: p.Container, Host: thisHost()}
	var err error
	c.Spec.Devices, c.Devices, err = deviceNodes(p.Container.Devices)
	errs = append(errs, err)
	c.BlockIO, err = blockIO(p.Container.Resources.BlockIO, c.Host)
	errs = append(errs, err, checkLog(p.Container.Log))
	errs = append(errs, checkSecurity(c), checkPaths(p.Container))
	errs = append(errs, checkCpuset(p.Container.Resources.Cpuset))
	_, err = c.Resources()
	errs = append(errs, err)
	_, err = c.Rlimits()
	errs = append(errs, err, oci.CheckArguments(slices.Concat(api.EffectiveCommand(c.Spec, api.ImageConfig{})), c.Spec.Env, c.Stack()))
	return errors.Join(errs...)
}

// checkCpuset refuses processors that this host does not have, or that are off.
func checkCpuset(list string) error {
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

// checkLog refuses the journal where there is none.
func checkLog(l api.LogConfig) error {
	if _, err := os.Stat(journalSocket); l.Driver == api.LogJournald && err != nil {
		return fault.New(errdefs.ErrFailedPrecondition, "the logging driver %q needs systemd's journal, which does not run on this host", api.LogJournald)
	}
	return nil
}

// checkSecurity refuses capabilities that there are not, what only a security module could do that is not on or does not know of
// it, and a seccomp profile that is none.
func checkSecurity(c oci.Container) error {
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
	profile, err := seccompProfile(c.Spec.SecurityOpt)
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

// checkTmpfs asks the kernel for the options that are its file system's; of the others it takes none with a value.
func checkTmpfs(m api.Mount) error {
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

// checkPaths refuses targets that lie in a file, and with the working directory what lies where only the kernel makes anything.
func checkPaths(spec api.ContainerSpec) error {
	var targets, places []string
	files := map[string]bool{}
	for _, f := range spec.Files {
		targets, files[path.Clean(f.Target)] = append(targets, f.Target), true
	}
	for _, m := range spec.Mounts {
		fi, err := os.Stat(m.Source)
		targets, files[path.Clean(m.Target)] = append(targets, m.Target), m.Type == api.MountBind && m.Subpath == "" && err == nil && !fi.IsDir()
	}
	var errs []error
	for _, target := range targets {
		for above := path.Dir(path.Clean(target)); above != "/" && above != "."; above = path.Dir(above) {
			if files[above] {
				errs = append(errs, fault.New(errdefs.ErrInvalidArgument, "cannot mount at %s: %s lies in %s, which is a file", target, target, above))
				break
			}
		}
	}
	if places = targets; spec.WorkingDir != "" {
		places = append(places, spec.WorkingDir)
	}
	for _, p := range places {
		if kernelLacks(path.Clean(p)) {
			errs = append(errs, fault.New(errdefs.ErrInvalidArgument, "the kernel has nothing at %s, and lets nobody make it", p))
		}
	}
	return errors.Join(errs...)
}

// kernelLacks reports whether a path, which is clean, is one below /proc or /sys that this kernel has not. A container has cgroups
// and network interfaces of its own.
func kernelLacks(p string) bool {
	if !disk.IsBelow(p, "/proc") && !disk.IsBelow(p, "/sys") || disk.IsBelow(p, "/sys/fs/cgroup") || strings.Contains(p, "/net/") {
		return false
	}
	_, err := os.Stat(p)
	return errors.Is(err, os.ErrNotExist)
}

// checkCgroupParent refuses the cgroups of another root, which takes all that is in them for its own.
func (c *possible) checkCgroupParent(p api.PodSpec) error {
	if c.e.paths.cgroups().Foreign(p.Container.CgroupParent) {
		return fault.New(errdefs.ErrInvalidArgument, "the parent cgroup %q is a cgroup of another root of podc: choose another name", p.Container.CgroupParent)
	}
	return nil
}

// ipcSysctls are the settings that each ipc namespace has of its own, beside fs.mqueue.*.
var ipcSysctls = []string{"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"}

// checkSysctls refuses settings that would be the host's, or that its kernel does not have.
func checkSysctls(p api.PodSpec) error {
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

// CheckVolumes fails with every volume whose folder on the host does not exist.
func (*possible) CheckVolumes(list []api.Volume) error {
	var errs []error
	for _, v := range list {
		errs = append(errs, volumes.CheckSource(v))
	}
	return errors.Join(errs...)
}

// CheckCommand fails with errdefs.ErrInvalidArgument if neither a pod nor its image says what to run. A start finds the same again.
func (*possible) CheckCommand(p api.PodSpec, img api.ImageConfig) error {
	return podError("create", p.Name, oci.CheckCommand(slices.Concat(api.EffectiveCommand(p.Container, img)), p.Container.Image))
}
