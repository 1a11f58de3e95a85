package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/internal/valid"
)

// Where mounts land. An image, or what lies in a volume, may hold links; the runtime follows them, and would lay a mount over
// /proc, which it trusts itself. So podc resolves every target before the start, as the container will see it, and gives the
// runtime paths without links; once the container exists and before its process runs, podc looks where the mounts are, since
// whoever shares a volume may have put a link into it meanwhile.

// kernelFolders hold what the kernel and the runtime say of themselves.
var kernelFolders = []string{"/proc", "/sys", "/dev"}

// procFiles are what may be mounted on below /proc: what lxcfs imitates. It is runc's list.
var procFiles = []string{
	"/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/slabinfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
	"/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
}

// InKernelFolder reports whether path, which is clean, is one of kernelFolders or lies in one.
func InKernelFolder(path string) bool {
	return slices.ContainsFunc(kernelFolders, func(f string) bool { return disk.IsBelow(path, f) })
}

// CheckTarget refuses (errdefs.IsInvalidArgument) a mount whose target no container can have it on, whatever is in its image. As
// in docker, what a file names itself may lie in /sys and /dev, and the host's own /proc, /sys and /dev may be bound there.
func CheckTarget(m api.Mount) error {
	if err := valid.Path(m.Target); err != nil {
		return fault.New(errdefs.ErrInvalidArgument, "mount target: %w", err)
	}
	target := path.Clean(m.Target)
	switch {
	case !path.IsAbs(m.Target):
		return fault.New(errdefs.ErrInvalidArgument, "mount target %q is not an absolute path", m.Target)
	case target == "/":
		return fault.New(errdefs.ErrInvalidArgument, "nothing may be mounted on / of a container")
	case target == "/proc" && (m.Type != api.MountBind || path.Clean(m.Source) != "/proc"):
		return fault.New(errdefs.ErrInvalidArgument, "nothing but the host's /proc may be mounted on /proc of a container")
	case slices.Contains(kernelFolders, target) && m.Type != api.MountBind:
		return fault.New(errdefs.ErrInvalidArgument, "nothing but a bind mount may be mounted on %s of a container", target)
	case target != "/proc" && disk.IsBelow(target, "/proc") && !slices.Contains(procFiles, target):
		return fault.New(errdefs.ErrInvalidArgument, "%s lies in /proc of a container, where nothing may be mounted", target)
	}
	return nil
}

// CheckDevicePlace refuses a path at which no device file can be made, whatever is to be there; see checkNodePlace.
func CheckDevicePlace(s string) error {
	place := path.Clean(s)
	for _, folder := range []string{"/proc", "/sys"} {
		if disk.IsBelow(place, folder) {
			return fmt.Errorf("%s lies in %s of a container, where no device can be", place, folder)
		}
	}
	if place == "/" {
		return fmt.Errorf("%s is no place for a device", s)
	}
	return valid.AbsolutePath(s)
}

// CheckImageVolume refuses a volume that the image declares, and no file names, in a place that is not for images to choose.
func CheckImageVolume(target string) error {
	if clean := path.Clean("/" + target); clean == "/" || InKernelFolder(clean) {
		return fault.New(errdefs.ErrInvalidArgument, "the image declares a volume at %s, which an image may not cover (a mount of the container's own there would be served)",
			target)
	}
	return nil
}

// maxLinks bounds the links on the way to a target, as the kernel does.
const maxLinks = 40

// view is a container's files as they will be: its root filesystem, and what is mounted in it so far.
type view struct {
	root   string // folder of the host
	mounts []mounted
}

// mounted is a mount: at is its place, without links, and source what it shows, on the host. "" is something new, which has no
// links: a tmpfs, a /proc.
type mounted struct{ at, source string }

// resolve returns target without links: where it is in the container. What is missing, the runtime makes. It is
// errdefs.IsInvalidArgument if a link leads to where no link may lead.
func (v view) resolve(target string) (string, error) {
	at, err := v.follow(target)
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot mount at %s: %w", target, err)
	case at != path.Clean(target) && InKernelFolder(at):
		return "", fault.New(errdefs.ErrInvalidArgument, "cannot mount at %s: a link in the container's files leads from there to %s", target, at)
	}
	return at, nil
}

// follow returns target without links.
func (v view) follow(target string) (string, error) {
	// All at once: the kernel says ELOOP if there is any link on the way, missing or not what follows it.
	if _, err := v.readlink(path.Clean(target)); plain(err) {
		return path.Clean(target), nil
	}
	at, rest := "/", parts(target)
	for links := 0; len(rest) > 0; {
		next := path.Join(at, rest[0]) // where nothing is a link, .. is what it says
		rest = rest[1:]
		to, err := v.readlink(next)
		switch {
		case plain(err):
			at = next
			continue
		case err != nil:
			return "", err
		}
		if links++; links > maxLinks {
			return "", fault.New(errdefs.ErrInvalidArgument, "too many links lead there")
		}
		if path.IsAbs(to) {
			at = "/"
		}
		rest = slices.Concat(parts(to), rest)
	}
	return at, nil
}

// plain reports whether readlink has found what is no link, or nothing yet.
func plain(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.EINVAL) }

// parts are the names in a path; a link may hold . and empty ones.
func parts(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." })
}

// readlink reads a link of the container's, on the way to which there is none: unix.EINVAL if it is none itself.
func (v view) readlink(at string) (string, error) {
	source, below := v.root, at
	for _, m := range slices.Backward(v.mounts) {
		if disk.IsBelow(at, m.at) {
			source, below = m.source, strings.TrimPrefix(at, m.at)
			break
		}
	}
	if source == "" || below == "" { // what is mounted on is no link any more
		return "", unix.EINVAL
	}
	dir, err := unix.Open(source, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, path.Join(".", below), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if errors.Is(err, os.ErrNotExist) { // how it says that a descriptor is of no link
		err = unix.EINVAL
	}
	return string(buf[:max(n, 0)]), err
}

// ResolveTargets gives each of mounts, in this order, the target that it will have in the container whose root is given. Those
// that mount what a runtime makes are left as they are; see Check.
func ResolveTargets(root string, mounts []specs.Mount) error {
	v := view{root: root}
	for i := range mounts {
		at, err := v.resolve(mounts[i].Destination)
		if err != nil {
			return err
		}
		mounts[i].Destination = at
		v.add(mounts[i])
	}
	return nil
}

// add notes a mount whose target is resolved.
func (v *view) add(m specs.Mount) {
	source := ""
	if m.Type == "bind" {
		source = m.Source
	}
	v.mounts = append(v.mounts, mounted{m.Destination, source})
}

// ResolveWorkingDir returns dir without links, as it will be in the container whose root and mounts are given. None leads to
// /proc: the links there are to descriptors, from where the container would be in files of the host's (CVE-2024-21626).
func ResolveWorkingDir(root string, mounts []specs.Mount, dir string) (string, error) {
	v := view{root: root}
	for _, m := range mounts {
		v.add(m)
	}
	at, err := v.follow(dir)
	if err == nil && at != "/proc" && disk.IsBelow(at, "/proc") {
		err = fault.New(errdefs.ErrInvalidArgument, "it leads to %s, where no container may work", at)
	}
	if err != nil {
		return "", fmt.Errorf("cannot use the working directory %q: %w", dir, err)
	}
	return at, nil
}

// CheckPlaces refuses a container whose mounts are not all where they should be; pid is its first process, which waits.
func CheckPlaces(pid int, mounts []specs.Mount) error {
	there, err := kernel.MountsOf(pid)
	if err != nil {
		return fmt.Errorf("cannot see where the mounts are: %w", err)
	}
	return misplaced(there, mounts)
}

// misplaced names a bind mount or tmpfs that is not in its place among those that are there, as the container has them.
func misplaced(there []*mountinfo.Info, mounts []specs.Mount) error {
	places := map[string]bool{}
	for _, m := range there {
		places[m.Mountpoint] = true
	}
	for _, m := range mounts {
		if (m.Type == "bind" || m.Type == "tmpfs") && !places[m.Destination] {
			return fault.New(errdefs.ErrFailedPrecondition, "the mount at %s did not get there: somebody put a link in its way", m.Destination)
		}
	}
	return nil
}
