package host

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/oci"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// DeviceNodes resolves devices to nodes, one each. A folder stands for the nodes in it, as docker has it: so the first answer
// may be longer than list.
func DeviceNodes(list []api.Device) (full []api.Device, nodes []specs.LinuxDevice, err error) {
	for _, d := range list {
		d.Container = cmp.Or(d.Container, d.Host)
		found := []api.Device{d}
		if fi, err := os.Stat(d.Host); err == nil && fi.IsDir() {
			if found = DevicesIn(d.Host, d); len(found) == 0 {
				return nil, nil, fault.New(errdefs.ErrInvalidArgument, "cannot use %s as a device: it is a folder with no device in it", d.Host)
			}
		}
		for _, d := range found {
			node, err := deviceNode(d.Host, d.Container)
			if err == nil {
				err = checkNodePlace(node.Path)
			}
			if err != nil {
				return nil, nil, err
			}
			full, nodes = append(full, d), append(nodes, node)
		}
	}
	return full, nodes, nil
}

func deviceNode(host, target string) (specs.LinuxDevice, error) {
	var st unix.Stat_t
	if err := unix.Stat(host, &st); err != nil {
		return specs.LinuxDevice{}, fmt.Errorf("cannot use device %s: %w", host, err)
	}
	d := specs.LinuxDevice{
		Path: target, Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
		FileMode: new(os.FileMode(st.Mode & 0o777)), UID: &st.Uid, GID: &st.Gid,
	}
	if d.Type = deviceType(st); d.Type == "" {
		return d, fault.New(errdefs.ErrInvalidArgument, "cannot use %s as a device: it is not a device node", host)
	}
	return d, nil
}

// deviceType is c or b, as the specification has it, or "" for what is no device.
func deviceType(st unix.Stat_t) string {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		return "c"
	case unix.S_IFBLK:
		return "b"
	}
	return ""
}

// checkNodePlace refuses a place that the runtime's own mounts take.
func checkNodePlace(s string) error {
	place := path.Clean(s)
	if slices.Contains([]string{"/dev", "/dev/shm"}, place) {
		return fault.New(errdefs.ErrInvalidArgument, "cannot put a device at %s: %s is a folder in every container", s, place)
	}
	for _, folder := range []string{"/dev/pts", "/dev/mqueue"} {
		if disk.IsBelow(place, folder) {
			return fault.New(errdefs.ErrInvalidArgument, "cannot put a device at %s: it lies in %s of a container, where only the kernel makes files", s, folder)
		}
	}
	return nil
}

// IsDevice reports whether the device is in its place in a container's files, as the container sees them.
func IsDevice(root string, d specs.LinuxDevice) (bool, error) {
	f, err := rootfs.OpenIn(root, d.Path, unix.O_PATH)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	return deviceType(st) == d.Type && st.Rdev == unix.Mkdev(uint32(d.Major), uint32(d.Minor)), err
}

// DevicesIn lists the nodes below a folder of the host, placed below the folder that as names, with its permissions.
func DevicesIn(folder string, as api.Device) []api.Device {
	var list []api.Device
	filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil, path == folder:
			return nil
		case d.IsDir() && slices.Contains([]string{"pts", "shm", "mqueue", "fd"}, d.Name()):
			return filepath.SkipDir
		case d.Type()&os.ModeDevice != 0 && path != "/dev/console":
			list = append(list, api.Device{Host: path, Container: as.Container + strings.TrimPrefix(path, folder), Permissions: as.Permissions})
		}
		return nil
	})
	return list
}

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
