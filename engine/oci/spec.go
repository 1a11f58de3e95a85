// Package oci says what a container is to the runtime: the configuration of the Open Container Initiative as a function of plain values,
// which are what the pod asks for, what its image says and what the host has. It is pure, so that golden files tell it.
package oci

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// ociVersion is what crun 1.8.1 still accepts; it refuses 1.2.0 and newer.
const ociVersion = "1.1.0"

// Container is all that the OCI configuration of a pod's main container follows from. Collecting it needs the mounted root
// filesystem and the host; turning it into a configuration does not.
type Container struct {
	ID         string
	Hostname   string
	Spec       api.ContainerSpec
	Image      api.ImageConfig
	Rootfs     string
	Namespaces map[string]string // kind -> path; a kind that is absent is the host's, or for pid, unless HostPID, a new one
	HostPID    bool
	Shm        string // folder of the host for /dev/shm; "": a new tmpfs, "none": none
	CgroupPath string
	User       Identity
	Mounts     []specs.Mount // of the user, resolved to host paths
	Etc        []specs.Mount // /etc/hosts and the like
	Files      []specs.Mount // configs and secrets
	Devices    []specs.LinuxDevice
	BlockIO    *specs.LinuxBlockIO
	InitBinary string // on the host; used if Spec.Init
	Seccomp    string // JSON of a profile given by the user
	Host       Host
}

// Generate gives the configuration. Topics have files of their own: mounts.go, security.go, resources.go.
func (c Container) Generate() (*specs.Spec, error) {
	process, err := c.process()
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version:     ociVersion,
		Process:     process,
		Root:        &specs.Root{Path: c.Rootfs, Readonly: c.Spec.ReadOnly},
		Mounts:      c.mounts(),
		Annotations: c.Spec.Annotations,
		Linux: &specs.Linux{
			CgroupsPath: c.CgroupPath,
			Namespaces:  c.namespaces(),
			Sysctl:      c.sysctls(),
			Devices:     c.nodes(),

			RootfsPropagation: c.propagation(),
		},
	}
	if s.Linux.Resources, err = c.Resources(); err != nil {
		return nil, err
	}
	if err := c.secure(s); err != nil {
		return nil, err
	}
	return s, nil
}

func (c Container) process() (*specs.Process, error) {
	args, err := c.args()
	if err != nil {
		return nil, err
	}
	rlimits, err := c.Rlimits()
	if err != nil {
		return nil, err
	}
	if err := CheckArguments(args, c.env(), c.Stack()); err != nil {
		return nil, err
	}
	p := &specs.Process{
		Terminal: c.Spec.TTY,
		Args:     args,
		Env:      c.env(),
		Cwd:      cmp.Or(api.Effective(c.Spec, c.Image).WorkingDir, "/"),
		User:     c.User.User(),
		Rlimits:  rlimits,

		OOMScoreAdj: c.Spec.OOMScoreAdj, // nil: podc's own
	}
	p.User.Umask = c.Spec.Umask
	return p, errors.Join(c.CheckOOMScore(), c.Host.checkIDs(c.User))
}

func (c Container) args() ([]string, error) {
	args := slices.Concat(api.EffectiveCommand(c.Spec, c.Image))
	if err := CheckCommand(args, c.Spec.Image); err != nil {
		return nil, err
	}
	if c.Spec.Init {
		args = append([]string{c.initTarget(), "init", "--"}, args...)
	}
	return args, nil
}

// CheckCommand refuses a command line without a program (errdefs.IsInvalidArgument).
func CheckCommand(args []string, image string) error {
	if len(args) == 0 || args[0] == "" {
		return fault.New(errdefs.ErrInvalidArgument, "no command to run: neither the image %q nor the container names one", image)
	}
	return nil
}

// Stack is the limit of the stack of the container's processes, in bytes.
func (c Container) Stack() uint64 {
	if l, ok := c.Spec.Ulimits["stack"]; ok {
		return uint64(l.Soft) // -1 becomes RLIM_INFINITY
	}
	return c.Host.Stack
}

// CheckArguments refuses what the kernel gives no program: a string of 32 pages, or more in all than a quarter of the stack's limit.
func CheckArguments(args, env []string, stack uint64) error {
	longest, total := 32*os.Getpagesize(), uint64(0)
	for _, s := range slices.Concat(args, env) {
		total += uint64(len(s)) + 9 // its end, and the pointer to it
	}
	for _, s := range args {
		if len(s) >= longest {
			return fault.New(errdefs.ErrInvalidArgument, "an argument of the command is too long: it has %d bytes, and the kernel gives a program %d", len(s), longest-1)
		}
	}
	for _, s := range env {
		if len(s) >= longest {
			name, _, _ := strings.Cut(s, "=")
			return fault.New(errdefs.ErrInvalidArgument, "the variable %.40s is too long: it has %d bytes, and the kernel gives a program %d", name, len(s), longest-1)
		}
	}
	if most := max(128<<10, min(stack/4, 6<<20)); total > most {
		return fault.New(errdefs.ErrInvalidArgument, "command and environment are too long: they have %d bytes, and the kernel gives a program %d, a quarter of the stack's limit", total, most)
	}
	return nil
}

// env is the image's environment overridden by the spec's, with the defaults that programs expect. Nothing comes from the
// environment of podc itself.
func (c Container) env() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + c.Hostname}
	if c.Spec.TTY {
		env = append(env, "TERM=xterm")
	}
	env = append(env, "HOME="+cmp.Or(c.User.Home, "/"))
	return api.MergeEnv(env, api.Effective(c.Spec, c.Image).Env)
}

// namespaceTypes are the specification's words, by the kernel's.
var namespaceTypes = map[string]specs.LinuxNamespaceType{
	"net": specs.NetworkNamespace, "ipc": specs.IPCNamespace, "uts": specs.UTSNamespace, "pid": specs.PIDNamespace, "cgroup": specs.CgroupNamespace,
}

func (c Container) namespaces() []specs.LinuxNamespace {
	ns := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	if !c.HostPID && c.Namespaces["pid"] == "" {
		ns = slices.Insert(ns, 0, specs.LinuxNamespace{Type: specs.PIDNamespace})
	}
	if c.Spec.CgroupNS == "private" || c.Spec.CgroupNS == "" && c.Host.CgroupV2 {
		ns = append(ns, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	for _, kind := range slices.Sorted(maps.Keys(c.Namespaces)) {
		ns = append(ns, specs.LinuxNamespace{Type: namespaceTypes[kind], Path: c.Namespaces[kind]})
	}
	return ns
}

// sysctls lets ping and low ports work without capabilities, as docker does, in network namespaces that are the pod's own.
func (c Container) sysctls() map[string]string {
	s := map[string]string{}
	if c.Namespaces["net"] != "" {
		s["net.ipv4.ping_group_range"] = "0 " + strconv.FormatInt(c.Host.lastID(), 10)
		s["net.ipv4.ip_unprivileged_port_start"] = "0"
	}
	maps.Copy(s, c.Spec.Sysctls)
	return s
}

// Identity is who a process in a container is.
type Identity struct {
	UID, GID int
	Groups   []int // supplementary; the primary one is among them, lest a program drop it and with it what denies it (CVE-2022-36109)
	Home     string
}

// User is who in the specification's words.
func (who Identity) User() specs.User {
	u := specs.User{UID: uint32(who.UID), GID: uint32(who.GID)}
	for _, g := range who.Groups {
		u.AdditionalGids = append(u.AdditionalGids, uint32(g))
	}
	return u
}

// lastID is the last id of a user or a group that the kernel takes.
func (h Host) lastID() int64 {
	if h.IDs == 0 {
		return math.MaxInt32
	}
	return h.IDs - 1
}

// checkIDs refuses an identity that there is not on this host.
func (h Host) checkIDs(who Identity) error {
	if most := slices.Max(append([]int{who.UID, who.GID}, who.Groups...)); h.IDs > 0 && int64(most) >= h.IDs {
		return fault.New(errdefs.ErrFailedPrecondition, "cannot run as user or group %d: the ids of this host's containers end at %d", most, h.IDs-1)
	}
	return nil
}

// Host is what spec generation must know of the machine. It is data, so that specs can be golden-tested anywhere.
type Host struct {
	CgroupV2 bool
	// Caps are the capabilities that podc itself may pass on.
	Caps []string
	// Rlimits are the hard limits of podc, by OCI name: defaults are clamped to them. OOMScore is podc's own adjustment of what
	// the OOM killer chooses by. MayExceed says that containers can be given more, and less, than these.
	Rlimits   map[string]uint64
	OOMScore  int
	MayExceed bool
	// Stack is the limit of podc's stack, which containers get unless they ask for another, in bytes.
	Stack   uint64
	Thermal []string // further paths to mask: per-CPU thermal throttling counters
	Lacks   []string // limits that this kernel does not offer, of optionalLimits
	// AppArmor says that it is on; Profile is the one of containers that ask for none.
	AppArmor bool
	Profile  string
	// IDs is how many ids of users and groups there are, from 0 on; 0: all that the kernel knows.
	IDs int64
	// Lent says that the machine's own namespaces, which containers may share, are somebody else's: what the kernel shows of them
	// in /proc, /sys and /dev/mqueue cannot be mounted anew, only shown from where the machine has it.
	Lent bool
	// NoNodes says that nobody may make device nodes: those of the machine are mounted in their places.
	NoNodes bool
	// RecursiveReadOnly says that a mount can be made read-only with all that is mounted below it.
	RecursiveReadOnly bool
}
