package oci

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/profiles/seccomp"
	"github.com/moby/sys/capability"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// defaultCaps are docker's without NET_RAW and MKNOD: ping works without (see sysctls), and device nodes are named in the
// spec or not there at all.
var defaultCaps = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE",
	"CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// MaskedPaths and ReadonlyPaths are the union of docker's and podman's.
var (
	MaskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux",
	}
	ReadonlyPaths = []string{"/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// SecurityOptions are the entries of security_opt, understood.
type SecurityOptions struct {
	NoNewPrivileges bool
	Seccomp         string // "", "unconfined", "builtin", or the path or JSON of a profile
	AppArmor        string
	Unmasked        bool // systempaths=unconfined
}

func ParseSecurityOpt(list []string) (o SecurityOptions, err error) {
	for _, opt := range list {
		key, value, _ := strings.Cut(opt, "=")
		if value == "" {
			key, value, _ = strings.Cut(opt, ":")
		}
		switch {
		case key == "no-new-privileges" && slices.Contains([]string{"", "true", "false"}, value):
			o.NoNewPrivileges = value != "false"
		case key == "seccomp" && value == "default":
			o.Seccomp = "builtin"
		case key == "seccomp" && value != "":
			o.Seccomp = value
		case key == "apparmor" && value != "":
			o.AppArmor = value
		case key == "label" && value != "":
			// As in docker, labels mean nothing where SELinux does not label containers, and podc leaves that to the host's policy.
		case key == "systempaths" && value == "unconfined":
			o.Unmasked = true
		default:
			return o, fault.New(errdefs.ErrInvalidArgument, "security option %q is not known", opt)
		}
	}
	return o, nil
}

// secure fills in capabilities, seccomp, masked paths and what security_opt asks for.
func (c Container) secure(s *specs.Spec) error {
	opt, err := ParseSecurityOpt(c.Spec.SecurityOpt)
	if err != nil {
		return err
	}
	caps, err := c.Caps()
	if err != nil {
		return err
	}
	// Nothing is inheritable or ambient (CVE-2022-27651). Who is not root holds nothing, but a setuid program in the image
	// can gain what is in the bounding set.
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps}
	if c.User.UID == 0 {
		s.Process.Capabilities.Effective, s.Process.Capabilities.Permitted = caps, caps
	}
	s.Process.NoNewPrivileges = opt.NoNewPrivileges
	if profile := c.Host.ProfileOf(c.Spec, opt); profile != Unconfined {
		s.Process.ApparmorProfile = profile
	}
	if !c.Spec.Privileged && !opt.Unmasked {
		s.Linux.MaskedPaths = slices.Concat(MaskedPaths, c.Host.Thermal)
		s.Linux.ReadonlyPaths = ReadonlyPaths
	}
	if c.Spec.Privileged && opt.Seccomp == "" || opt.Seccomp == "unconfined" {
		return nil
	}
	if c.Seccomp != "" {
		s.Linux.Seccomp, err = seccomp.LoadProfile(c.Seccomp, s)
	} else {
		s.Linux.Seccomp, err = seccomp.GetDefaultProfile(s)
	}
	if err != nil {
		return fmt.Errorf("cannot use the seccomp profile: %w", err)
	}
	return nil
}

// Caps is the bounding set: the defaults, changed by cap_add and cap_drop, within what podc itself may give.
func (c Container) Caps() ([]string, error) {
	known := map[string]bool{}
	for _, cap := range c.Host.Caps {
		known[cap] = true
	}
	set := map[string]bool{}
	for _, cap := range defaultCaps {
		set[cap] = true
	}
	if c.Spec.Privileged {
		maps.Copy(set, known)
	}
	// Docker applies drops before adds, so that `cap_drop: [ALL]` with `cap_add: [CHOWN]` leaves CHOWN.
	for _, name := range c.Spec.CapDrop {
		if cap := capName(name); cap == "CAP_ALL" {
			clear(set)
		} else if isCap(cap) {
			delete(set, cap)
		} else {
			return nil, fault.New(errdefs.ErrInvalidArgument, "cannot drop capability %q: it is not known", name)
		}
	}
	for _, name := range c.Spec.CapAdd {
		switch cap := capName(name); {
		case cap == "CAP_ALL":
			maps.Copy(set, known)
		case known[cap]:
			set[cap] = true
		default:
			return nil, fault.New(errdefs.ErrInvalidArgument, "cannot add capability %q: it is not known, or podc does not hold it itself", name)
		}
	}
	caps := slices.Sorted(maps.Keys(set))
	return slices.DeleteFunc(caps, func(cap string) bool { return !known[cap] }), nil
}

// isCap reports whether there is such a capability, whether podc holds it or not.
func isCap(name string) bool {
	return slices.ContainsFunc(capability.ListKnown(), func(c capability.Cap) bool { return capName(c.String()) == name })
}

func capName(s string) string {
	s = strings.ToUpper(s)
	if !strings.HasPrefix(s, "CAP_") {
		s = "CAP_" + s
	}
	return s
}

const (
	// DefaultProfile confines every container that asks for no other, where the kernel has AppArmor and the machine its parser.
	DefaultProfile = "podc-default"
	// Unconfined is the name of no profile.
	Unconfined = "unconfined"
)

// ProfileOf is the profile of a container; "" where there is no AppArmor.
func (h Host) ProfileOf(spec api.ContainerSpec, o SecurityOptions) string {
	switch {
	case o.AppArmor != "":
		return o.AppArmor
	case h.Profile != "" && spec.Privileged:
		return Unconfined
	}
	return h.Profile
}
