package oci

import (
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/fault"
)

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
