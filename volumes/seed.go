package volumes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
)

// Seed offers an empty volume the content of the folder source (a path inside a mounted image, already resolved within it):
// files with their owners, modes, times, links and extended attributes, and owner and mode of the folder itself. It takes
// content at most once in its life, and only while it is empty. An empty source gives it no more than owner and mode, if it is
// the first to do so; another may still fill it.
func (s *Store) Seed(ctx context.Context, name, source string) error {
	if v, err := s.Get(name); err != nil || v.Seeded || passing(v) {
		return err
	}
	l, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	v, err := s.Get(name)
	if err != nil || v.Seeded {
		return err
	}
	bare, err := isEmpty(source)
	if err != nil || bare && v.Owned {
		return err
	}
	fresh, err := s.isFresh(name)
	if err != nil {
		return err
	}
	if fresh {
		if err := s.fill(name, source); err != nil {
			return fmt.Errorf("cannot fill volume %q from the image: %w", name, err)
		}
	}
	v.Seeded, v.Owned = !bare || !fresh, true
	return disk.WriteJSON(s.record(name), v, disk.Durable)
}

// seed is where content waits, complete, to be moved into a volume: beside it, or in it if it is a file system of its own.
func (s *Store) seed(name string) string { return filepath.Join(s.staging(name), ".seeded") }

func (s *Store) staging(name string) string {
	if path := s.Path(name); disk.IsMountPoint(path) {
		return path
	}
	return filepath.Join(s.dir, name)
}

// isFresh reports whether a volume is empty, or was being filled when somebody died.
func (s *Store) isFresh(name string) (bool, error) {
	if _, err := os.Lstat(s.seed(name)); err == nil {
		return true, nil
	}
	return isEmpty(s.Path(name))
}

// fill copies beside the volume first, so that a copy cut short is never taken for the user's data; then it moves the copy in.
func (s *Store) fill(name, source string) error {
	seed := s.seed(name)
	if _, err := os.Lstat(seed); err == nil {
		return moveIn(seed, s.Path(name))
	}
	tmp := filepath.Join(s.staging(name), ".seed")
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := CopyTree(source, tmp); err != nil {
		os.RemoveAll(tmp)
		return err
	}
	if err := syncAll(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, seed); err != nil {
		return err
	}
	return moveIn(seed, s.Path(name))
}

// moveIn moves what is in a folder into another, entry by entry: a container may have the other one mounted, so that it must
// stay what it is. What has come into it meanwhile is not replaced. A move that was cut short can be done again.
func moveIn(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(from, e.Name()), unix.AT_FDCWD, filepath.Join(to, e.Name()), unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EINVAL) { // not every file system can refuse to replace
			if _, err = os.Lstat(filepath.Join(to, e.Name())); errors.Is(err, fs.ErrNotExist) {
				err = os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
			}
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return &os.LinkError{Op: "rename", Old: e.Name(), New: to, Err: err}
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return err
	}
	if err := errors.Join(copyMeta(from, to, &st), disk.SyncDir(to)); err != nil {
		return err
	}
	return os.RemoveAll(from)
}

// syncAll makes a copy durable before the record says that it was made: the volume is filled only once.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

func isEmpty(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(2)
	if errors.Is(err, io.EOF) || len(names) == 1 && names[0] == ".seed" { // of a copy that was cut short
		return true, nil
	}
	return false, err
}

// CopyTree copies the folder from to to, which must not exist, with owners, modes, times, links, device nodes and extended
// attributes. Links are copied, never followed; hard links inside the tree stay hard links.
func CopyTree(from, to string) error { return treeCopy{}.copy(from, to) }

// treeCopy is the first copy of each file with several names, by device and inode.
type treeCopy map[[2]uint64]string

func (c treeCopy) copy(from, to string) error {
	fi, err := os.Lstat(from)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: from, Err: err}
	}
	if !fi.IsDir() && st.Nlink > 1 {
		key := [2]uint64{st.Dev, st.Ino}
		if first, ok := c[key]; ok {
			return os.Link(first, to)
		}
		c[key] = to
	}
	switch fi.Mode().Type() {
	case fs.ModeDir:
		err = c.copyDir(from, to)
	case fs.ModeSymlink:
		err = copySymlink(from, to)
	case 0:
		err = copyFile(from, to)
	case fs.ModeSocket:
		return nil // worthless without its listener
	default:
		err = unix.Mknod(to, st.Mode, int(st.Rdev))
	}
	if err != nil {
		return err
	}
	return copyMeta(from, to, &st)
}

func (c treeCopy) copyDir(from, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.copy(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copySymlink(from, to string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	return os.Symlink(target, to)
}

func copyFile(from, to string) error {
	in, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func copyMeta(from, to string, st *unix.Stat_t) error {
	if err := os.Lchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	link := st.Mode&unix.S_IFMT == unix.S_IFLNK
	if !link {
		if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
			return &fs.PathError{Op: "chmod", Path: to, Err: err}
		}
	}
	if err := copyXattrs(from, to); err != nil {
		return err
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, times, unix.AT_SYMLINK_NOFOLLOW)
}

// copyXattrs copies extended attributes but those by which overlay marks its own files.
func copyXattrs(from, to string) error {
	n, err := unix.Llistxattr(from, nil)
	if err != nil || n <= 0 {
		return ignoreUnsupported(err)
	}
	names := make([]byte, n)
	if n, err = unix.Llistxattr(from, names); err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		if strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		size, err := unix.Lgetxattr(from, name, nil)
		if err != nil {
			return err
		}
		value := make([]byte, size)
		if size, err = unix.Lgetxattr(from, name, value); err != nil {
			return err
		}
		if err := unix.Lsetxattr(to, name, value[:size], 0); ignoreUnsupported(err) != nil {
			return &fs.PathError{Op: "setxattr " + name, Path: to, Err: err}
		}
	}
	return nil
}

func ignoreUnsupported(err error) error {
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
