package oci

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/fault"
)

// Limits that not every kernel offers, as people say.
const (
	limitSwap         = "a limit of memory and swap"
	limitSwappiness   = "swappiness"
	limitOOM          = "exemption from the OOM killer"
	LimitWeight       = "a weight of block devices"
	LimitWeightDevice = "a weight of one block device"
	LimitRate         = "a rate of a block device"
)

// optionalLimits says by which file of a controller the kernel offers a limit; "" on cgroups v2 is one that they do not have.
var optionalLimits = []struct{ name, v1, controller, v2 string }{
	{limitSwap, "memory/memory.memsw.limit_in_bytes", "memory", "memory.swap.max"},
	{limitSwappiness, "memory/memory.swappiness", "memory", ""},
	{limitOOM, "memory/memory.oom_control", "memory", ""},
	{LimitWeight, "blkio/blkio*.weight", "io", "io*.weight"},
	{LimitWeightDevice, "blkio/blkio*.weight_device", "io", "io*.weight"},
	{LimitRate, "blkio/blkio.throttle.read_bps_device", "io", "io.max"},
}

// LackedLimits lists the optionalLimits that the hierarchies mounted below dir do not offer.
func LackedLimits(dir string, v2 bool) []string {
	found := func(pattern string) bool {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		return len(files) > 0
	}
	offered, enabled := controllersIn(dir, "cgroup.controllers"), controllersIn(dir, "cgroup.subtree_control")
	var lacks []string
	for _, l := range optionalLimits {
		offers := found(l.v1)
		if v2 {
			// No file of a limit is in the root, and below it there are none of a controller that nobody has enabled yet.
			offers = l.v2 != "" && slices.Contains(offered, l.controller) &&
				(!slices.Contains(enabled, l.controller) || found("*/"+l.v2))
		}
		if !offers {
			lacks = append(lacks, l.name)
		}
	}
	return lacks
}

// controllersIn reads a list of controllers; none where there is no such file, as on cgroups v1.
func controllersIn(dir, name string) []string {
	b, _ := os.ReadFile(filepath.Join(dir, name))
	return strings.Fields(string(b))
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
