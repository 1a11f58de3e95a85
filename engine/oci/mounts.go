package oci

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// initTarget is where the reaper of `init: true` appears in the container: not in a /dev that is the host's.
func (c Container) initTarget() string {
	if slices.ContainsFunc(c.Mounts, func(m specs.Mount) bool { return path.Clean(m.Destination) == "/dev" }) {
		return "/sbin/podc-init"
	}
	return "/dev/init"
}

// mounts lists the system's mounts, then the pod's own files, then the user's, parents before children. A mount of the user
// replaces one of podc's at the same place.
func (c Container) mounts() []specs.Mount {
	own := slices.Concat(c.systemMounts(), c.deviceMounts(), c.Etc)
	if c.Spec.Init {
		own = append(own, specs.Mount{Destination: c.initTarget(), Type: "bind", Source: c.InitBinary, Options: []string{"bind", "ro"}})
	}
	users := append(slices.Clone(c.Mounts), c.Files...)
	ParentsFirst(users)
	taken := map[string]bool{}
	for _, m := range users {
		taken[path.Clean(m.Destination)] = true
	}
	own = slices.DeleteFunc(own, func(m specs.Mount) bool {
		return taken[m.Destination] || taken["/dev"] && disk.IsBelow(m.Destination, "/dev") // a /dev of the user's has all of its own
	})
	return append(own, users...)
}

func (c Container) systemMounts() []specs.Mount {
	ro := "ro"
	if c.Spec.Privileged {
		ro = "rw"
	}
	pts := []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
	if c.Host.lastID() >= ttyGroup {
		pts = append(pts, "gid="+strconv.Itoa(ttyGroup))
	}
	mounts := []specs.Mount{
		c.kernelMount("pid", specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}}),
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: pts},
		c.shm(),
		c.kernelMount("ipc", specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}}),
		c.kernelMount("net", specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", ro}}),
		c.kernelMount("cgroup", specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", ro}}),
	}
	if c.Shm == "none" {
		mounts = slices.DeleteFunc(mounts, func(m specs.Mount) bool { return m.Destination == "/dev/shm" })
	}
	return mounts
}

// ttyGroup is the group of terminals, on every distribution.
const ttyGroup = 5

// kernelMount is m, which shows a namespace of a kind; if that is one of the machine's which podc may not mount anew, as the machine has it.
func (c Container) kernelMount(kind string, m specs.Mount) specs.Mount {
	own := slices.ContainsFunc(c.namespaces(), func(n specs.LinuxNamespace) bool { return n.Type == namespaceTypes[kind] })
	if c.Host.Lent && !own {
		m.Type, m.Source, m.Options = "bind", m.Destination, append([]string{"rbind", "rprivate"}, m.Options...)
	}
	return m
}

// nodes are the devices that the runtime makes nodes for.
func (c Container) nodes() []specs.LinuxDevice {
	if c.Host.NoNodes {
		return nil
	}
	return c.Devices
}

// deviceMounts are the devices that are mounted, where there can be no nodes. Who may not write there may not write to the device.
func (c Container) deviceMounts() []specs.Mount {
	if !c.Host.NoNodes {
		return nil
	}
	var mounts []specs.Mount
	for i, d := range c.Devices {
		m := specs.Mount{Destination: path.Clean(d.Path), Type: "bind", Source: c.Spec.Devices[i].Host, Options: []string{"bind", "private", "nosuid", "noexec"}}
		if p := c.Spec.Devices[i].Permissions; p != "" && !strings.Contains(p, "w") {
			m.Options = append(m.Options, "ro")
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// shm is the mount of /dev/shm, which goes with the ipc namespace.
func (c Container) shm() specs.Mount {
	if c.Shm != "" {
		return specs.Mount{Destination: "/dev/shm", Type: "bind", Source: c.Shm, Options: []string{"bind", "rprivate", "nosuid", "noexec", "nodev"}}
	}
	size := "size=" + strconv.FormatInt(ShmSize(c.Spec), 10)
	return specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", size}}
}

// ShmSize is in bytes.
func ShmSize(s api.ContainerSpec) int64 {
	if s.ShmSize == 0 {
		return 64 << 20
	}
	return s.ShmSize
}

// UserMount translates a mount whose source is a host path by now ("" for a tmpfs). Only of a folder all can be read-only: crun
// 1.8.1 takes every other target of that for one.
func UserMount(m api.Mount, source string, folder bool) specs.Mount {
	if m.Type == api.MountTmpfs {
		return tmpfsMount(m)
	}
	options := []string{"rbind", cmp.Or(m.Propagation, "rprivate")}
	if m.NonRecursive {
		// crun takes the r of the propagation for one of the bind; with nothing mounted below, it means nothing.
		options = []string{"bind", strings.TrimPrefix(options[1], "r")}
	}
	if m.ReadOnly || m.Type == api.MountImage {
		options = append(options, "ro")
		if folder && !m.OnlyTopReadOnly && !m.NonRecursive {
			options = append(options, "rro")
		}
	}
	return specs.Mount{Destination: m.Target, Type: "bind", Source: source, Options: options}
}

// propagation is that of the root, which those of the mounts in it may not exceed.
func (c Container) propagation() string {
	way := ""
	for _, m := range c.Spec.Mounts {
		switch m.Propagation {
		case "shared", "rshared":
			return "shared"
		case "slave", "rslave":
			way = "rslave"
		}
	}
	return way
}

func tmpfsMount(m api.Mount) specs.Mount {
	options := []string{"nosuid", "nodev"}
	if !slices.Contains(m.TmpfsOptions, "exec") {
		options = append(options, "noexec")
	}
	if m.ReadOnly {
		options = append(options, "ro")
	}
	if m.TmpfsSize > 0 {
		options = append(options, "size="+strconv.FormatInt(m.TmpfsSize, 10))
	}
	if m.TmpfsMode != 0 {
		options = append(options, "mode="+strconv.FormatUint(uint64(m.TmpfsMode), 8))
	}
	return specs.Mount{Destination: m.Target, Type: "tmpfs", Source: "tmpfs", Options: append(options, m.TmpfsOptions...)}
}

// ParentsFirst sorts mounts so that none hides one that is mounted in it.
func ParentsFirst(mounts []specs.Mount) {
	depth := func(m specs.Mount) int { return strings.Count(path.Clean(m.Destination), "/") }
	slices.SortStableFunc(mounts, func(a, b specs.Mount) int { return depth(a) - depth(b) })
}
