package engine

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// CheckPods fails with every value of the specs that is wrong, and with everything that this host cannot give: names that other
// groups have taken, sources of binds, devices, capabilities, limits, seccomp profiles, settings of the kernel. It is for before
// anything is made; a creation or a start finds the same again.
func (e *Engine) CheckPods(_ context.Context, pods []PodSpec) error {
	var errs []error
	for _, p := range pods {
		errs = append(errs, podError("create", p.Name, errors.Join(e.checkName(p), checkPossible(p), e.checkBorrowed(p, pods))))
	}
	return errors.Join(errs...)
}

// checkName refuses the name of a pod of another group.
func (e *Engine) checkName(p PodSpec) error {
	if _, err := os.Stat(e.paths.spec(p.Name)); err != nil {
		return nil
	}
	have, err := e.read(p.Name)
	if err != nil || have.Spec.Group == p.Group {
		return nil // the plan has seen it, and knows what to do
	}
	return fault.New(errdefs.ErrAlreadyExists, "the container name %q is already in use by container %.12s of project %q", p.Name, have.ID, have.Spec.Group)
}

func checkPossible(p PodSpec) error {
	errs := []error{checkValues(p), checkSysctls(p)}
	for _, m := range p.Container.Mounts {
		if m.Type == MountBind && (!m.CreateSource || noFolder(m.Source) != "") {
			errs = append(errs, bindSource(m))
		}
		if m.AllReadOnly && !thisHost().RecursiveReadOnly {
			errs = append(errs, fault.New(errdefs.ErrFailedPrecondition, "the kernel cannot make all below %s read-only (Linux 5.12 can)", m.Source))
		}
		errs = append(errs, checkPropagation(m))
	}
	c := container{Spec: p.Container, Host: thisHost()}
	var err error
	c.Spec.Devices, c.Devices, err = deviceNodes(p.Container.Devices)
	errs = append(errs, err)
	c.BlockIO, err = blockIO(p.Container.Resources.BlockIO, c.Host)
	errs = append(errs, err, checkLog(p.Container.Log))
	if err = c.checkSecurity(); err == nil {
		_, err = seccompProfile(p.Container.SecurityOpt)
	}
	errs = append(errs, err)
	errs = append(errs, checkCpuset(p.Container.Resources.Cpuset))
	_, err = c.resources()
	errs = append(errs, err)
	_, err = c.rlimits()
	errs = append(errs, err, checkArguments(slices.Concat(effectiveCommand(c.Spec, ImageConfig{})), c.Spec.Env, c.stack()))
	_, err = c.caps()
	return errors.Join(append(errs, err)...)
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
func checkLog(l LogConfig) error {
	if _, err := os.Stat(journalSocket); l.Driver == logJournald && err != nil {
		return fault.New(errdefs.ErrFailedPrecondition, "the logging driver %q needs systemd's journal, which does not run on this host", logJournald)
	}
	return nil
}

// checkSecurity refuses what only a security module could do that is not on, or does not know of it.
func (c container) checkSecurity() error {
	o, err := parseSecurityOpt(c.Spec.SecurityOpt)
	if err == nil {
		err = c.Host.checkProfile(o.apparmor)
	}
	return err
}

// ipcSysctls are the settings that each ipc namespace has of its own, beside fs.mqueue.*.
var ipcSysctls = []string{"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"}

// checkSysctls refuses settings that would be the host's, or that its kernel does not have.
func checkSysctls(p PodSpec) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.Container.Sysctls)) {
		network := strings.HasPrefix(name, "net.")
		ipc := !network && (strings.HasPrefix(name, "fs.mqueue.") || slices.Contains(ipcSysctls, name))
		switch {
		case ipc && p.IPC.Mode == NamespaceHost:
			errs = append(errs, fault.New(errdefs.ErrInvalidArgument, "sysctl %s would be set for the host's ipc", name))
		case network && p.Network.Mode == NetworkHost:
			errs = append(errs, fault.New(errdefs.ErrInvalidArgument, "sysctl %s would be set for the host's network", name))
		case !network && !ipc:
			errs = append(errs, fault.New(errdefs.ErrInvalidArgument, "sysctl %s would be set for the whole host: a container has its own only of net.*, fs.mqueue.* and the limits of System V IPC", name))
		case network && perInterface(name):
		default:
			if _, err := os.Stat("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); errors.Is(err, os.ErrNotExist) {
				errs = append(errs, fault.New(errdefs.ErrInvalidArgument, "sysctl %s is not one of this kernel", name))
			}
		}
	}
	return errors.Join(errs...)
}

// perInterface reports whether a setting is one of an interface, which the host need not have.
func perInterface(name string) bool {
	return strings.Contains(name, ".conf.") || strings.Contains(name, ".neigh.")
}
