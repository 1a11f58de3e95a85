package engine

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/fault"
)

// devices lists the devices that a pod may use. Privileged pods get all of /dev.
func (p *pod) devices() ([]Device, []specs.LinuxDevice, error) {
	list := p.Spec.Container.Devices
	if p.Spec.Container.Privileged {
		list = append(slices.Clone(list), devicesIn("/dev", Device{Container: "/dev"})...)
	}
	return deviceNodes(list)
}

// deviceNodes resolves devices to nodes, one each. A folder stands for the nodes in it, as docker has it: so the first answer
// may be longer than list.
func deviceNodes(list []Device) (full []Device, nodes []specs.LinuxDevice, err error) {
	for _, d := range list {
		d.Container = cmp.Or(d.Container, d.Host)
		found := []Device{d}
		if fi, err := os.Stat(d.Host); err == nil && fi.IsDir() {
			if found = devicesIn(d.Host, d); len(found) == 0 {
				return nil, nil, fault.New(errdefs.ErrInvalidArgument, "cannot use %s as a device: it is a folder with no device in it", d.Host)
			}
		}
		for _, d := range found {
			node, err := deviceNode(d.Host, d.Container)
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
		FileMode: ptr(os.FileMode(st.Mode & 0o777)), UID: &st.Uid, GID: &st.Gid,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		d.Type = "c"
	case unix.S_IFBLK:
		d.Type = "b"
	default:
		return d, fault.New(errdefs.ErrInvalidArgument, "cannot use %s as a device: it is not a device node", host)
	}
	return d, nil
}

// devicesIn lists the nodes below a folder of the host, placed below the folder that as names, with its permissions.
func devicesIn(folder string, as Device) []Device {
	var list []Device
	filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil, path == folder:
			return nil
		case d.IsDir() && slices.Contains([]string{"pts", "shm", "mqueue", "fd"}, d.Name()):
			return filepath.SkipDir
		case d.Type()&os.ModeDevice != 0 && path != "/dev/console":
			list = append(list, Device{path, as.Container + strings.TrimPrefix(path, folder), as.Permissions})
		}
		return nil
	})
	return list
}
