package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// namesAtOnce bounds how many names of a folder are held in memory.
const namesAtOnce = 1024

// RemoveTree is os.RemoveAll that stays on path's side of mounts: what somebody has mounted in it is let go of, not deleted. It
// tries everything. Idempotent, also beside another that removes the same.
func RemoveTree(path string) error {
	path = filepath.Clean(path)
	parent, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil {
		defer unix.Close(parent)
		err = removeTree(parent, filepath.Base(path), path)
	}
	return err
}

// removeTree removes name, which is path, from the folder parent.
func removeTree(parent int, name, path string) error {
	fail := func(err error) error { return &os.PathError{Op: "remove", Path: path, Err: err} }
	for {
		err := unix.Unlinkat(parent, name, 0)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT):
			return nil
		case errors.Is(err, unix.EBUSY): // a file on which another is mounted
			if err := Unmount(path); err != nil {
				return err
			}
			if err := unix.Unlinkat(parent, name, 0); err != nil {
				return fail(err)
			}
			return nil
		case !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM):
			return fail(err)
		}
		dir, openErr := unix.Openat2(parent, name, &unix.OpenHow{
			Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_BENEATH,
		})
		switch {
		case openErr == nil:
			return removeFolder(parent, dir, name, path)
		case errors.Is(openErr, unix.EXDEV):
			if err := Unmount(path); err != nil {
				return err
			}
		case errors.Is(openErr, unix.ENOENT):
			return nil
		case errors.Is(openErr, unix.ENOTDIR):
			return fail(err)
		default:
			return fail(openErr)
		}
	}
}

// removeFolder empties the folder that is open as fd, closes it, and removes it.
func removeFolder(parent, fd int, name, path string) error {
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(namesAtOnce)
		var errs []error
		for _, n := range names {
			errs = append(errs, removeTree(fd, n, filepath.Join(path, n)))
		}
		if err := errors.Join(errs...); err != nil {
			return err // what is left would be found again for ever
		}
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ENOENT) { // ENOENT: another has removed the folder itself
			break
		}
		if err != nil {
			return err
		}
		if _, err := dir.Seek(0, io.SeekStart); err != nil { // removals may have moved what was not read yet
			return err
		}
	}
	if err := unix.Unlinkat(parent, name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return &os.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// Unmount detaches every mount stacked on path. Idempotent: a path that is no mount, or not there, is fine.
func Unmount(path string) error {
	for {
		switch err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); {
		case err == nil:
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		default:
			return fmt.Errorf("cannot unmount %s: %w", path, err)
		}
	}
}

// IsMountPoint reports whether something is mounted on path.
func IsMountPoint(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
