// Package rootfs knows the files of a container: its root filesystem, what is mounted in it and where that lands, its account files, its
// configs and secrets. Whatever lies in an image or a volume comes from strangers: no link leads out.
package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

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
	if err := errors.Join(os.MkdirAll(o.Diff, 0o700), os.MkdirAll(o.Work, 0o700), os.MkdirAll(merged, 0o700)); err != nil {
		return err
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
	if err := errors.Join(os.MkdirAll(empty, 0o700), os.MkdirAll(dir, 0o700)); err != nil {
		return err
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

// Overlay is an overlay mount that is to be made.
type Overlay struct {
	Layers     []string // top first
	Diff, Work string   // where writes go; without, it is to be read only
	// volatile: nothing is synced, neither when a program in it asks for that nor, with all of the file system below, at the
	// unmount. It is for what no crash outlives: of files that a program has synced, a power cut leaves empty ones.
	Volatile bool
	// UserXattrs: what it marks files with, it keeps where any user may, and not where only root may.
	UserXattrs bool
}

// maxLayers is how many the kernel takes.
const maxLayers = 500

// mountOverlay mounts o at target.
func mountOverlay(o Overlay, target string) error {
	if len(o.Layers) > maxLayers {
		return fmt.Errorf("it has %d layers, and the kernel takes %d", len(o.Layers), maxLayers)
	}
	// A volatile overlay leaves this mark so that nobody trusts it after a crash: a run that is over is not begun again, and
	// earlier versions had all overlays so.
	if o.Work != "" {
		if err := os.RemoveAll(filepath.Join(o.Work, "work", "incompat")); err != nil {
			return err
		}
	}
	mount := o.mountByOptions
	if layersOneByOne() && o.fitsContext() {
		mount = o.mountByContext
	}
	err := mount(target)
	if errors.Is(err, unix.EINVAL) {
		// Also so if a mount on which the layers lay has just gone: podman mounts its folder over itself as long as it runs.
		err = mount(target)
	}
	return err
}

// envOverlayOptions has overlays mounted as on kernels that cannot take layers one by one.
const envOverlayOptions = "PODC_OVERLAY_OPTIONS"

// layersOneByOne reports whether the kernel takes them so (lowerdir+, Linux 6.8). One that knows the parameter tells of a layer
// that is not there at once. Before 6.5 any parameter is accepted, and only the mount fails.
var layersOneByOne = sync.OnceValue(func() bool {
	if forced, _ := strconv.ParseBool(os.Getenv(envOverlayOptions)); forced {
		return false
	}
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return false
	}
	defer unix.Close(fs)
	return errors.Is(unix.FsconfigSetString(fs, "lowerdir+", "/proc/self/no-layer"), unix.ENOENT)
})

// flags are the options without a value.
func (o Overlay) flags() (list []string) {
	if o.Volatile {
		list = append(list, "volatile")
	}
	if o.UserXattrs {
		list = append(list, "userxattr")
	}
	return list
}

// paths are all that o is made of.
func (o Overlay) paths() []string {
	paths := slices.Clone(o.Layers)
	if o.Diff != "" {
		paths = append(paths, o.Diff, o.Work)
	}
	return paths
}

// fitsContext reports whether a file system context takes the paths of o: up to 255 bytes each, and the kernel unescapes some
// of them.
func (o Overlay) fitsContext() bool {
	return !slices.ContainsFunc(o.paths(), func(path string) bool { return len(path) > 255 || strings.Contains(path, `\`) })
}

func (o Overlay) mountByContext(target string) error {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fs)
	set := func(key, value string) {
		if err == nil {
			if err = unix.FsconfigSetString(fs, key, value); err != nil {
				err = fmt.Errorf("%s=%s: %w", key, value, err)
			}
		}
	}
	set("source", "podc")
	for _, layer := range o.Layers {
		set("lowerdir+", layer)
	}
	if o.Diff != "" {
		set("upperdir", o.Diff)
		set("workdir", o.Work)
	}
	for _, flag := range o.flags() {
		if err == nil {
			err = unix.FsconfigSetFlag(fs, flag)
		}
	}
	if err == nil {
		err = unix.FsconfigCreate(fs)
	}
	if err != nil {
		return errors.Join(err, fsMessages(fs))
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// mountByOptions gives the kernel all options in one string, which must fit in a page: so each path is given as the number of
// its descriptor, relative to the folder of descriptors. Those of 500 layers fit, and no path needs to be escaped.
func (o Overlay) mountByOptions(target string) error {
	var numbers []string
	for _, path := range o.paths() {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		defer unix.Close(fd)
		numbers = append(numbers, strconv.Itoa(fd))
	}
	n := len(o.Layers)
	options := []string{"lowerdir=" + strings.Join(numbers[:n], ":")}
	if o.Diff != "" {
		options = append(options, "upperdir="+numbers[n], "workdir="+numbers[n+1])
	}
	options = append(options, o.flags()...)
	return inFolder("/proc/self/fd", func() error { return unix.Mount("podc", target, "overlay", 0, strings.Join(options, ",")) })
}

// inFolder calls f with a working directory that is this thread's alone, and nobody's afterwards.
func inFolder(dir string, f func() error) error {
	runtime.LockOSThread()
	home, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer unix.Close(home)
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	// A thread that cannot go home stays locked, so that the runtime ends it with this goroutine.
	defer func() {
		if unix.Fchdir(home) == nil {
			runtime.UnlockOSThread()
		}
	}()
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	return f()
}

// fsMessages reads what the kernel has to say about a failed file system context.
func fsMessages(fs int) error {
	var b [1024]byte
	n, err := unix.Read(fs, b[:])
	if err != nil || n <= 0 {
		return nil
	}
	return errors.New(strings.TrimSpace(string(b[:n])))
}
