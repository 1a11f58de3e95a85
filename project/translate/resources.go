package translate

import (
	"cmp"
	"runtime"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/api"
	"podc.example/podc/compose"
)

// resources translates limits. Those under `deploy` agree with the others where both are given (package compose checks it).
func (t *translation) resources(c *api.ContainerSpec, s types.ServiceConfig) {
	r := &c.Resources
	r.CPUs = compose.CPUs(s.CPUS)
	r.CPUShares, r.CPUPeriod, r.CPUQuota, r.Cpuset = s.CPUShares, s.CPUPeriod, s.CPUQuota, s.CPUSet
	r.Memory, r.MemoryReservation, r.MemorySwap = int64(s.MemLimit), int64(s.MemReservation), int64(s.MemSwapLimit)
	r.Pids = s.PidsLimit
	r.OOMKillDisable = s.OomKillDisable
	if s.MemSwappiness != 0 || t.p.Says(s.Name, "mem_swappiness") {
		r.Swappiness = new(int64(s.MemSwappiness))
	}
	r.BlockIO = blockIO(s.BlkioConfig)
	c.ShmSize, c.Umask = int64(s.ShmSize), s.Umask
	if s.OomScoreAdj != 0 {
		c.OOMScoreAdj = new(int(s.OomScoreAdj))
	}
	if s.Deploy == nil {
		return
	}
	if l := s.Deploy.Resources.Limits; l != nil {
		r.CPUs = cmp.Or(r.CPUs, compose.CPUs(l.NanoCPUs.Value()))
		r.Memory = cmp.Or(r.Memory, int64(l.MemoryBytes))
		r.Pids = cmp.Or(r.Pids, l.Pids)
	}
	if v := s.Deploy.Resources.Reservations; v != nil {
		r.MemoryReservation = cmp.Or(r.MemoryReservation, int64(v.MemoryBytes))
	}
}

func blockIO(b *types.BlkioConfig) *api.BlockIO {
	if b == nil {
		return nil
	}
	out := &api.BlockIO{Weight: b.Weight, ReadBps: rates(b.DeviceReadBps), WriteBps: rates(b.DeviceWriteBps),
		ReadIOps: rates(b.DeviceReadIOps), WriteIOps: rates(b.DeviceWriteIOps)}
	for _, d := range b.WeightDevice {
		out.WeightDevices = append(out.WeightDevices, api.DeviceWeight{Path: d.Path, Weight: d.Weight})
	}
	return out
}

func rates(list []types.ThrottleDevice) []api.DeviceRate {
	var out []api.DeviceRate
	for _, d := range list {
		out = append(out, api.DeviceRate{Path: d.Path, Rate: uint64(d.Rate)})
	}
	return out
}

// platform accepts the host's only.
func (t *translation) platform(key string, s types.ServiceConfig) error {
	want, at := s.Platform, key+".platform"
	if want == "" {
		if want, at = t.p.Environment["DOCKER_DEFAULT_PLATFORM"], "DOCKER_DEFAULT_PLATFORM"; want == "" {
			return nil
		}
	}
	return onThisHost(at, want)
}

// onThisHost refuses a platform that is not the host's.
func onThisHost(at, want string) error {
	parts := strings.Split(want, "/")
	arch := parts[len(parts)-1]
	if len(parts) > 1 {
		arch = parts[1]
	}
	if alias, ok := map[string]string{"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}[arch]; ok {
		arch = alias
	}
	if arch == runtime.GOARCH && (len(parts) == 1 || parts[0] == runtime.GOOS) {
		return nil
	}
	if len(parts) == 1 && arch == runtime.GOOS {
		return nil
	}
	return compose.NotServed(at, want, "this machine runs "+runtime.GOOS+"/"+runtime.GOARCH)
}
