package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/fault"
)

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
