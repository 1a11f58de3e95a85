package engine

import (
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/fault"
)

// Limits that not every kernel offers, by the names that people know them by.
const (
	limitSwap         = "memswap_limit"
	limitSwappiness   = "mem_swappiness"
	limitOOM          = "oom_kill_disable"
	limitWeight       = "blkio_config.weight"
	limitWeightDevice = "blkio_config.weight_device"
	limitRate         = "blkio_config.device_*"
)

// optionalLimits says by which file of a controller the kernel offers a limit; "" on cgroups v2 is one that they do not have.
// On v2 no file of a limit is in the root, but in each cgroup below it.
var optionalLimits = []struct{ name, v1, v2 string }{
	{limitSwap, "memory/memory.memsw.limit_in_bytes", "*/memory.swap.max"},
	{limitSwappiness, "memory/memory.swappiness", ""},
	{limitOOM, "memory/memory.oom_control", ""},
	{limitWeight, "blkio/blkio*.weight", "*/io*.weight"},
	{limitWeightDevice, "blkio/blkio*.weight_device", "*/io*.weight"},
	{limitRate, "blkio/blkio.throttle.read_bps_device", "*/io.max"},
}

// lackedLimits lists the optionalLimits that this kernel does not offer.
func lackedLimits(v2 bool) []string {
	var lacks []string
	for _, l := range optionalLimits {
		file := l.v1
		if v2 {
			file = l.v2
		}
		if found, _ := filepath.Glob("/sys/fs/cgroup/" + file); file == "" || len(found) == 0 {
			lacks = append(lacks, l.name)
		}
	}
	return lacks
}

// offers refuses those of the wanted limits that the host lacks.
func (h host) offers(wanted map[string]bool) error {
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
