package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// Mkdir makes a folder and its parents where they are missing; links are resolved within root.
func Mkdir(root, dir string) error {
	at := "/"
	for part := range strings.SplitSeq(strings.Trim(path.Clean(dir), "/"), "/") {
		parent, err := OpenIn(root, at, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		err = unix.Mkdirat(int(parent.Fd()), part, 0o755)
		parent.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return &os.PathError{Op: "make", Path: path.Join(at, part), Err: err}
		}
		at = path.Join(at, part)
	}
	return nil
}

// Bind mounts what m shows on target, which is what it is whatever takes its place meanwhile.
func Bind(m specs.Mount, target *os.File) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if slices.Contains(m.Options, "ro") {
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return err
		}
	}
	return unix.MoveMount(tree, "", int(target.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// UnmountTree unmounts dir and what is mounted in it, in this thread's namespace.
func UnmountTree(dir string) error {
	below, err := MountsBelow(dir)
	errs := []error{err}
	for _, m := range slices.Backward(below) {
		errs = append(errs, disk.Unmount(m))
	}
	return errors.Join(append(errs, disk.Unmount(dir))...)
}

// MountPart mounts what is at subpath of source at target. No link leads out of source, and whoever can write there cannot put
// another thing in its place afterwards.
func MountPart(source, subpath, target string) error {
	if disk.IsMountPoint(target) {
		return nil
	}
	f, err := OpenIn(source, subpath, unix.O_PATH)
	if err != nil {
		return fmt.Errorf("cannot mount subpath %q of %s: %w", subpath, source, err)
	}
	defer f.Close()
	if err := makeTarget(f, target); err != nil {
		return err
	}
	tree, err := unix.OpenTree(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("cannot mount subpath %q of %s: %w", subpath, source, err)
	}
	defer unix.Close(tree)
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("cannot mount subpath %q of %s: %w", subpath, source, err)
	}
	return nil
}

// makeTarget makes a folder, or a file if that is what will be mounted on it.
func makeTarget(what *os.File, target string) error {
	fi, err := what.Stat()
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(target), os.MkdirAll(filepath.Dir(target), 0o700)); err != nil {
		return err
	}
	if fi.IsDir() {
		return os.Mkdir(target, 0o700)
	}
	return os.WriteFile(target, nil, 0o600)
}

// MountsBelow lists the mounts in some folders, as this thread sees them, the deepest last.
func MountsBelow(dirs ...string) ([]string, error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(m.Mountpoint, dir+"/") }), false
	})
	paths := make([]string, 0, len(mounts))
	for _, m := range mounts {
		paths = append(paths, m.Mountpoint)
	}
	return paths, err
}

// Private gives this thread, which must never be anything else's, a mount namespace of its own.
func Private() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	return nil
}

// ReadOnly makes a mount read-only.
func ReadOnly(dir string) error {
	return unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

// MountShm mounts a /dev/shm of a size in bytes at dir; it is a no-op when it is mounted already.
func MountShm(dir string, size int64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if disk.IsMountPoint(dir) {
		return nil
	}
	options := "mode=1777,size=" + strconv.FormatInt(size, 10)
	if err := unix.Mount("shm", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("cannot mount /dev/shm: %w", err)
	}
	return nil
}

// sharedLabel lets every container at a folder, whichever engine runs it: podc does not label processes, so there is no level
// that "Z" could keep others out by.
const sharedLabel = "system_u:object_r:container_file_t:s0"

// unlabelled are folders whose labels the host needs as they are.
var unlabelled = []string{"/", "/bin", "/boot", "/dev", "/etc", "/etc/passwd", "/etc/shadow", "/home", "/lib", "/lib64", "/media", "/opt",
	"/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/log", "/var/run", "/var/tmp"}

// selinuxOn reports whether SELinux labels files here.
func selinuxOn() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/selinux", &st) == nil && st.Type == unix.SELINUX_MAGIC
}

// Relabel gives a mounted folder, with all in it, a label that containers may use. Without SELinux it does nothing, as docker.
func Relabel(path string) error {
	if !selinuxOn() {
		return nil
	}
	if slices.Contains(unlabelled, filepath.Clean(path)) {
		return fault.New(errdefs.ErrInvalidArgument, "cannot relabel %s for containers: the host itself needs its label", path)
	}
	return labelTree(path, sharedLabel)
}

// labelTree labels what is there, and minds neither what vanishes meanwhile nor file systems without labels.
func labelTree(path, label string) error {
	return filepath.WalkDir(path, func(name string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = unix.Lsetxattr(name, "security.selinux", []byte(label), 0)
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTSUP) {
			return nil
		}
		return fmt.Errorf("cannot label %s: %w", name, err)
	})
}
