package host

import (
	"fmt"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/oci"
	"podc.example/podc/internal/fault"
)

// BlockIO resolves the limits of traffic with block devices; nil if there are none.
func BlockIO(b *api.BlockIO, h oci.Host) (*specs.LinuxBlockIO, error) {
	if b == nil {
		return nil, nil
	}
	rates := len(b.ReadBps) + len(b.WriteBps) + len(b.ReadIOps) + len(b.WriteIOps)
	err := h.Offers(map[string]bool{oci.LimitWeight: b.Weight != 0, oci.LimitWeightDevice: len(b.WeightDevices) > 0, oci.LimitRate: rates > 0})
	if err != nil {
		return nil, err
	}
	io := &specs.LinuxBlockIO{}
	if b.Weight != 0 {
		io.Weight = &b.Weight
	}
	for _, d := range b.WeightDevices {
		major, minor, err := blockDevice(d.Path)
		if err != nil {
			return nil, err
		}
		w := specs.LinuxWeightDevice{Weight: &d.Weight}
		w.Major, w.Minor = major, minor
		io.WeightDevice = append(io.WeightDevice, w)
	}
	for _, list := range []struct {
		from []api.DeviceRate
		to   *[]specs.LinuxThrottleDevice
	}{
		{b.ReadBps, &io.ThrottleReadBpsDevice}, {b.WriteBps, &io.ThrottleWriteBpsDevice},
		{b.ReadIOps, &io.ThrottleReadIOPSDevice}, {b.WriteIOps, &io.ThrottleWriteIOPSDevice},
	} {
		if *list.to, err = throttles(list.from); err != nil {
			return nil, err
		}
	}
	return io, nil
}

func throttles(rates []api.DeviceRate) ([]specs.LinuxThrottleDevice, error) {
	var list []specs.LinuxThrottleDevice
	for _, r := range rates {
		major, minor, err := blockDevice(r.Path)
		if err != nil {
			return nil, err
		}
		t := specs.LinuxThrottleDevice{Rate: r.Rate}
		t.Major, t.Minor = major, minor
		list = append(list, t)
	}
	return list, nil
}

// blockDevice is the number of the block device at path.
func blockDevice(path string) (major, minor int64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, fmt.Errorf("cannot limit the traffic with %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, 0, fault.New(errdefs.ErrInvalidArgument, "cannot limit the traffic with %s: it is not a block device", path)
	}
	return int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev)), nil
}
