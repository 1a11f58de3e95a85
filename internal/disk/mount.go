package disk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

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
