package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// devices resolves the device nodes of the spec; a folder stands for the nodes in it. Privileged pods get all of /dev.
func (p *pod) devices() ([]specs.LinuxDevice, error) {
	list := p.Spec.Container.Devices
	if p.Spec.Container.Privileged {
		list = append(slices.Clone(list), hostDevices()...)
	}
	var devices []specs.LinuxDevice
	for _, d := range list {
		dev, err := deviceNode(d.Host, or(d.Container, d.Host))
		if err != nil {
			return nil, err
		}
		devices = append(devices, dev)
	}
	return devices, nil
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
		return d, fmt.Errorf("cannot use %s as a device: it is not a device node: %w", host, errdefs.ErrInvalidArgument)
	}
	return d, nil
}

func hostDevices() []Device {
	var list []Device
	filepath.WalkDir("/dev", func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil, path == "/dev":
			return nil
		case d.IsDir() && slices.Contains([]string{"pts", "shm", "mqueue", "fd"}, d.Name()):
			return filepath.SkipDir
		case d.Type()&os.ModeDevice != 0 && path != "/dev/console":
			list = append(list, Device{Host: path, Container: path})
		}
		return nil
	})
	return list
}
