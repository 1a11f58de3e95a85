package oci

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

const (
	defaultPids   = 2048
	defaultNofile = 1048576
	cpuPeriod     = 100_000 // microseconds
)

func (c Container) Resources() (*specs.LinuxResources, error) {
	r := c.Spec.Resources
	res := &specs.LinuxResources{Pids: c.pidsLimit(), BlockIO: c.BlockIO, CPU: cpuLimit(r)}
	err := c.Host.Offers(map[string]bool{
		limitPids: r.Pids > 0, limitCPU: r.CPUs > 0 || r.CPUShares > 0 || r.CPUQuota > 0 || r.CPUPeriod > 0, limitCpuset: r.Cpuset != "",
		limitDevices: len(c.Spec.DeviceRules) > 0,
	})
	if err != nil {
		return nil, err
	}
	if res.Memory, err = c.memoryLimit(); err != nil {
		return nil, err
	}
	if slices.Contains(c.Host.Lacks, limitDevices) {
		return res, nil
	}
	if c.Spec.Privileged {
		res.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
		return res, nil
	}
	res.Devices = []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	for i, d := range c.Devices {
		res.Devices = append(res.Devices, specs.LinuxDeviceCgroup{
			Allow: true, Type: d.Type, Major: &d.Major, Minor: &d.Minor, Access: cmp.Or(c.Spec.Devices[i].Permissions, "rwm"),
		})
	}
	for _, rule := range c.Spec.DeviceRules {
		d, err := parseDeviceRule(rule)
		if err != nil {
			return nil, err
		}
		res.Devices = append(res.Devices, d)
	}
	return res, nil
}

// pidsLimit is nil for none: crun 1.8.1 cannot say "max".
func (c Container) pidsLimit() *specs.LinuxPids {
	n := c.Spec.Resources.Pids
	switch {
	case n < 0 || slices.Contains(c.Host.Lacks, limitPids):
		return nil
	case n == 0:
		n = defaultPids
	}
	return &specs.LinuxPids{Limit: &n}
}

func (c Container) memoryLimit() (*specs.LinuxMemory, error) {
	r, m := c.Spec.Resources, specs.LinuxMemory{}
	if r.Memory > 0 {
		m.Limit = &r.Memory
	}
	if r.MemoryReservation > 0 {
		m.Reservation = &r.MemoryReservation
	}
	switch {
	case r.MemorySwap != 0:
		m.Swap = &r.MemorySwap
	case r.Memory > 0 && !slices.Contains(c.Host.Lacks, limitSwap):
		m.Swap = new(2 * r.Memory) // as docker has it
	}
	if r.Swappiness != nil {
		m.Swappiness = new(uint64(*r.Swappiness))
	}
	if r.OOMKillDisable {
		m.DisableOOMKiller = new(true)
	}
	err := c.Host.Offers(map[string]bool{
		limitMemory: r.Memory > 0 || r.MemoryReservation > 0, limitSwap: r.MemorySwap != 0, limitSwappiness: r.Swappiness != nil, limitOOM: r.OOMKillDisable,
	})
	if m == (specs.LinuxMemory{}) || err != nil {
		return nil, err
	}
	return &m, nil
}

func cpuLimit(r api.Resources) *specs.LinuxCPU {
	c := specs.LinuxCPU{Cpus: r.Cpuset}
	if r.CPUShares > 0 {
		c.Shares = new(uint64(r.CPUShares))
	}
	if r.CPUPeriod > 0 {
		c.Period = new(uint64(r.CPUPeriod))
	}
	if r.CPUQuota > 0 {
		c.Quota = &r.CPUQuota
	}
	if r.CPUs > 0 {
		c.Period, c.Quota = new(uint64(cpuPeriod)), new(int64(r.CPUs*cpuPeriod))
	}
	if c == (specs.LinuxCPU{}) {
		return nil
	}
	return &c
}

// parseDeviceRule reads the kernel's notation: "c 1:3 rwm", with "*" for any number.
func parseDeviceRule(rule string) (specs.LinuxDeviceCgroup, error) {
	f := strings.Fields(rule)
	bad := fault.New(errdefs.ErrInvalidArgument, "device rule %q is not valid (want: TYPE MAJOR:MINOR PERMISSIONS)", rule)
	if len(f) != 3 || !strings.Contains("abc", f[0]) || len(f[0]) != 1 || strings.Trim(f[2], "rwm") != "" {
		return specs.LinuxDeviceCgroup{}, bad
	}
	d := specs.LinuxDeviceCgroup{Allow: true, Type: f[0], Access: f[2]}
	major, minor, ok := strings.Cut(f[1], ":")
	for _, n := range []struct {
		text string
		to   **int64
	}{{major, &d.Major}, {minor, &d.Minor}} {
		if n.text == "*" {
			continue
		}
		v, err := strconv.ParseInt(n.text, 10, 32)
		if err != nil || v < 0 {
			ok = false
		}
		*n.to = &v
	}
	if !ok {
		return d, bad
	}
	return d, nil
}

// CheckOOMScore refuses what the user asked for, if it is not possible.
func (c Container) CheckOOMScore() error {
	if want := c.Spec.OOMScoreAdj; want != nil && *want < c.Host.OOMScore && !c.Host.MayExceed {
		return fault.New(errdefs.ErrPermissionDenied, "cannot set the OOM score to %d: that of podc itself is %d and it may not lower it", *want, c.Host.OOMScore)
	}
	return nil
}

// Rlimits are the defaults, clamped to what podc may set, and what the user asked for, which must be possible.
func (c Container) Rlimits() ([]specs.POSIXRlimit, error) {
	nofile := min(defaultNofile, c.Host.Rlimits["RLIMIT_NOFILE"])
	limits := map[string]specs.POSIXRlimit{"RLIMIT_NOFILE": {Type: "RLIMIT_NOFILE", Soft: nofile, Hard: nofile}}
	for name, l := range c.Spec.Ulimits {
		kind := "RLIMIT_" + strings.ToUpper(name)
		max, known := c.Host.Rlimits[kind]
		if !known {
			return nil, fault.New(errdefs.ErrInvalidArgument, "ulimit %q is not known", name)
		}
		want := specs.POSIXRlimit{Type: kind, Soft: uint64(l.Soft), Hard: uint64(l.Hard)} // -1 becomes RLIM_INFINITY
		if want.Hard > max && !c.Host.MayExceed {
			return nil, fault.New(errdefs.ErrPermissionDenied, "cannot set ulimit %s to %d: the limit of podc itself is %d and it may not raise it", name, l.Hard, max)
		}
		limits[kind] = want
	}
	return slices.SortedFunc(maps.Values(limits), func(a, b specs.POSIXRlimit) int { return strings.Compare(a.Type, b.Type) }), nil
}

// Limits that not every kernel offers, as people say.
const (
	limitMemory       = "a limit of memory"
	limitSwap         = "a limit of memory and swap"
	limitSwappiness   = "swappiness"
	limitOOM          = "exemption from the OOM killer"
	limitPids         = "a limit of processes"
	limitCPU          = "a share of the processors' time"
	limitCpuset       = "a choice of processors"
	limitDevices      = "a rule for devices"
	LimitWeight       = "a weight of block devices"
	LimitWeightDevice = "a weight of one block device"
	LimitRate         = "a rate of a block device"
)

// optionalLimits says by which file of a controller the kernel offers a limit. On cgroups v2 "" is one that they do not have, and "."
// one that comes with the
// controller; rules for devices have none, they are programs of BPF.
var optionalLimits = []struct{ name, v1, controller, v2 string }{
	{limitMemory, "memory/memory.limit_in_bytes", "memory", "."},
	{limitSwap, "memory/memory.memsw.limit_in_bytes", "memory", "memory.swap.max"},
	{limitSwappiness, "memory/memory.swappiness", "memory", ""},
	{limitOOM, "memory/memory.oom_control", "memory", ""},
	{limitPids, "pids", "pids", "."},
	{limitCPU, "cpu/cpu.shares", "cpu", "."},
	{limitCpuset, "cpuset/cpuset.cpus", "cpuset", "."},
	{limitDevices, "devices", "", "."},
	{LimitWeight, "blkio/blkio*.weight", "io", "io*.weight"},
	{LimitWeightDevice, "blkio/blkio*.weight_device", "io", "io*.weight"},
	{LimitRate, "blkio/blkio.throttle.read_bps_device", "io", "io.max"},
}

// Hierarchies are the cgroups below which podc makes its own, as far as the limits that they offer follow from them.
type Hierarchies struct {
	V2               bool
	Offered, Enabled []string // controllers on v2: that podc may have, and that those of its cgroups have already
	Files            []string // of Patterns, those that match
	BPF              bool     // podc may load programs, which are the rules for devices on v2
}

// Patterns are of files that tell whether a limit is offered, relative to the folder of all hierarchies.
func (h Hierarchies) Patterns() []string {
	var list []string
	for _, l := range optionalLimits {
		switch {
		case !h.V2:
			list = append(list, l.v1)
		case l.v2 != "" && l.v2 != "." && slices.Contains(h.Enabled, l.controller):
			list = append(list, "*/"+l.v2)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Lacks lists the optionalLimits that there are not.
func (h Hierarchies) Lacks() []string {
	var lacks []string
	for _, l := range optionalLimits {
		if offers := h.V2 && h.unified(l.controller, l.v2) || !h.V2 && slices.Contains(h.Files, l.v1); !offers {
			lacks = append(lacks, l.name)
		}
	}
	return lacks
}

// unified reports whether cgroups v2 offer what a file of a controller stands for. No file of a limit is in the root, and below it there
// are none of a controller that nobody has enabled yet.
func (h Hierarchies) unified(controller, file string) bool {
	switch {
	case controller == "":
		return h.BPF
	case file == "" || !slices.Contains(h.Offered, controller):
		return false
	}
	return file == "." || !slices.Contains(h.Enabled, controller) || slices.Contains(h.Files, "*/"+file)
}

// Offers refuses those of the wanted limits that the host lacks.
func (h Host) Offers(wanted map[string]bool) error {
	for _, l := range optionalLimits {
		switch {
		case !wanted[l.name] || !slices.Contains(h.Lacks, l.name):
		case h.CgroupV2 && l.v2 == "":
			return fault.New(errdefs.ErrFailedPrecondition, "%s cannot be set: cgroups v2, which this host has, do not know it", l.name)
		default:
			return fault.New(errdefs.ErrFailedPrecondition, "%s cannot be set: the kernel of this host does not offer it", l.name)
		}
	}
	return nil
}
