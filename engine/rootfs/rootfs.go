// Package rootfs knows the files of a container: its root filesystem, what is mounted in it and where that lands, its account files, its
// configs and secrets. Whatever lies in an image or a volume comes from strangers: no link leads out.
package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/kernel"
)

// The root filesystem of a pod is an overlay that podc mounts itself: the image's layers below, a folder of the pod above.
// One mkdir and one mount per container; containers/storage is asked for nothing (see engine/images for the pin that keeps
// the layers in place).

// Mount mounts o, which is to be written to, at merged; it is a no-op when it is mounted already.
func Mount(o Overlay, merged string) error {
	if isOverlay(merged) {
		return nil
	}
	if len(o.Layers) == 0 {
		return fmt.Errorf("cannot make a root filesystem: the image has no layers")
	}
	for _, dir := range []string{o.Diff, o.Work, merged} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := copyTopMode(o.Layers, o.Diff); err != nil {
		return err
	}
	if err := mountOverlay(o, merged); err != nil {
		return fmt.Errorf("cannot mount the root filesystem: %w", err)
	}
	return nil
}

// MountImage mounts the layers of an image at dir, to be read only; it is a no-op when they are mounted already. The folder empty
// makes two layers of one, which overlay insists on.
func MountImage(layers []string, empty, dir string, userXattrs bool) error {
	if isOverlay(dir) {
		return nil
	}
	for _, d := range []string{empty, dir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	if err := mountOverlay(Overlay{Layers: append(slices.Clone(layers), empty), UserXattrs: userXattrs}, dir); err != nil {
		return fmt.Errorf("cannot mount an image at %s: %w", dir, err)
	}
	return nil
}

// copyTopMode gives the upper folder the mode and owner that / has in the image: they are what the container sees.
func copyTopMode(layers []string, diff string) error {
	var st unix.Stat_t
	if err := unix.Stat(layers[0], &st); err != nil {
		return fmt.Errorf("layer %s is missing, so the image is damaged (load or pull it again): %w", filepath.Base(filepath.Dir(layers[0])), err)
	}
	if err := os.Chown(diff, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return unix.Chmod(diff, st.Mode&0o7777)
}

func isOverlay(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.OVERLAYFS_SUPER_MAGIC
}

// Check refuses images in which a place that the runtime mounts over is not a real folder. Runtimes up to crun 1.27
// follow such links (CVE-2026-47766, CVE-2025-31133), and podc must not rely on a newer one.
func Check(merged string) error {
	for _, dir := range []string{"dev", "proc", "sys", "dev/pts", "dev/shm", "dev/mqueue"} {
		fi, err := os.Lstat(filepath.Join(merged, dir))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !fi.IsDir() {
			return fmt.Errorf("cannot run the image: /%s in it is not a folder but %s", dir, fi.Mode().Type())
		}
	}
	return nil
}

// OpenIn opens path as the container would see it: no link leads out of root.
func OpenIn(root, path string, flags int) (*os.File, error) {
	dir, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return OpenAt(dir, path, flags)
}

// OpenAt is OpenIn for a root that is open already.
func OpenAt(root *os.File, path string, flags int) (*os.File, error) {
	fd, err := unix.Openat2(int(root.Fd()), filepath.Join(".", path), &unix.OpenHow{
		Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// RealPath returns the host path of path inside root, with every link resolved within root.
func RealPath(root, path string) (string, error) {
	f, err := OpenIn(root, path, unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return os.Readlink(kernel.FDPath(int(f.Fd())))
}
