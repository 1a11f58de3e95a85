package engine

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// devices lists the devices that a pod may use. Privileged pods get all of /dev.
func (p podFiles) devices() ([]api.Device, []specs.LinuxDevice, error) {
	list := p.Spec.Container.Devices
	if p.Spec.Container.Privileged {
		list = append(slices.Clone(list), devicesIn("/dev", api.Device{Container: "/dev"})...)
	}
	return deviceNodes(list)
}

// deviceNodes resolves devices to nodes, one each. A folder stands for the nodes in it, as docker has it: so the first answer
// may be longer than list.
func deviceNodes(list []api.Device) (full []api.Device, nodes []specs.LinuxDevice, err error) {
	for _, d := range list {
		d.Container = cmp.Or(d.Container, d.Host)
		found := []api.Device{d}
		if fi, err := os.Stat(d.Host); err == nil && fi.IsDir() {
			if found = devicesIn(d.Host, d); len(found) == 0 {
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

// checkDevices refuses a container in which a device that the pod asks for is not in its place; pid is its first process, which waits.
// Of those that a privileged container has beside nobody has named any. What the pod mounts in a device's place is meant.
func (p podFiles) checkDevices(pid int) error {
	full, nodes, err := deviceNodes(p.Spec.Container.Devices)
	if err != nil {
		return err
	}
	root := "/proc/" + strconv.Itoa(pid) + "/root"
	for i, d := range nodes {
		if slices.ContainsFunc(p.Spec.Container.Mounts, func(m api.Mount) bool { return path.Clean(m.Target) == path.Clean(d.Path) }) {
			continue
		}
		switch there, err := isDevice(root, d); {
		case err != nil:
			return fmt.Errorf("cannot see whether the device %s is at %s: %w", full[i].Host, d.Path, err)
		case !there:
			return fault.New(errdefs.ErrFailedPrecondition, "the device %s is not at %s: the container's files have something else there, which the runtime leaves; give it another place",
				full[i].Host, d.Path)
		}
	}
	return nil
}

// isDevice reports whether the device is in its place in a container's files, as the container sees them.
func isDevice(root string, d specs.LinuxDevice) (bool, error) {
	f, err := rootfs.OpenIn(root, d.Path, unix.O_PATH)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	return deviceType(st) == d.Type && st.Rdev == unix.Mkdev(uint32(d.Major), uint32(d.Minor)), err
}

// devicesIn lists the nodes below a folder of the host, placed below the folder that as names, with its permissions.
func devicesIn(folder string, as api.Device) []api.Device {
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
