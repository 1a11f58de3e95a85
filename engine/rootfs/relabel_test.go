package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLabelTree(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("labels are set by root")
	}
	dir := t.TempDir()
	err := errors.Join(os.Mkdir(filepath.Join(dir, "d"), 0o755), os.WriteFile(filepath.Join(dir, "d/f"), nil, 0o644), os.Symlink("/etc", filepath.Join(dir, "out")))
	if err != nil {
		t.Fatal(err)
	}
	if err := labelTree(dir, sharedLabel); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "d", "d/f"} {
		b := make([]byte, 100)
		n, err := unix.Lgetxattr(filepath.Join(dir, name), "security.selinux", b)
		if errors.Is(err, unix.ENOTSUP) {
			t.Skip("no labels on this file system")
		}
		if err != nil || string(b[:n]) != sharedLabel {
			t.Errorf("%q has label %q, %v", name, b[:max(n, 0)], err)
		}
	}
	if n, err := unix.Lgetxattr("/etc", "security.selinux", make([]byte, 100)); err == nil && n == len(sharedLabel) {
		t.Error("a link was followed")
	}
	if !selinuxOn() && Relabel("/etc") != nil {
		t.Error("without SELinux something is labelled")
	}
}
