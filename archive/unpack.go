package archive

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"sort"
	"strings"
	"time"
	"unsafe"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/internal/valid"
)

// Owner is who files belong to, as numbers.
type Owner struct{ UID, GID int }

// Unpack writes the entries of a tar stream into the folder into, which must be there. They belong to owner, or, if that is
// nil, to whom the stream says. Other files are replaced; a folder neither replaces nor is replaced by anything else.
func (t Tree) Unpack(ctx context.Context, r io.Reader, into string, owner *Owner) error {
	u := &unpacker{tree: t, into: path.Clean("/" + into), owner: owner, buf: make([]byte, 256<<10)}
	defer u.leave()
	if _, err := u.enter("."); err != nil {
		return err
	}
	for entries := tar.NewReader(bufio.NewReaderSize(r, 256<<10)); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return u.settleFolders()
		}
		if err != nil {
			return fmt.Errorf("cannot read the tar stream: %w", err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := u.check(h); err != nil {
			return fmt.Errorf("cannot unpack %.60q: %w", h.Name, err)
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if name == "" || h.Typeflag == tar.TypeXGlobalHeader {
			continue // of the folder itself, which is left as it is
		}
		if err := u.entry(name, h, entries); err != nil {
			return err
		}
	}
}

type unpacker struct {
	tree  Tree
	into  string
	owner *Owner
	buf   []byte
	holes Holes

	dir     *os.File // the folder that was entered last
	entered string
	ours    bool         // what is made in it belongs to root, as a process that is root has it, and to no group that the folder passes on
	folders []madeFolder // their times come last: each file that is made in them changes them
}

type madeFolder struct {
	name string
	time time.Time
}

// check refuses what no file can have, and what has no relation to the length of the stream.
func (u *unpacker) check(h *tar.Header) error {
	err := errors.Join(valid.PathLength(h.Name), valid.PathLength(h.Linkname), u.holes.Add(h))
	if u.owner == nil { // a larger number would wrap around, to root at worst, and the largest means nobody
		err = errors.Join(err, valid.Between(int64(h.Uid), 0, math.MaxUint32-1), valid.Between(int64(h.Gid), 0, math.MaxUint32-1))
	}
	return err
}

// maxHoles is what the sparse files of a stream take together, in bytes: they are written out, and a stream of a kilobyte can
// stand for all that a disk has.
const maxHoles = 1 << 30

// Holes is the size of the sparse files that a tar stream had so far.
type Holes int64

// Add counts an entry, and fails once there is too much: errdefs.IsInvalidArgument.
func (n *Holes) Add(h *tar.Header) error {
	sparse := h.Typeflag == tar.TypeGNUSparse
	for key := range h.PAXRecords {
		sparse = sparse || strings.HasPrefix(key, "GNU.sparse.")
	}
	if !sparse {
		return nil
	}
	if h.Size > maxHoles-int64(*n) {
		return fault.New(errdefs.ErrInvalidArgument, "it has sparse files of more than %d MiB: make the archive without --sparse", maxHoles>>20)
	}
	*n += Holes(h.Size)
	return nil
}

func (u *unpacker) leave() {
	if u.dir != nil {
		u.dir.Close()
	}
	u.dir = nil
}

// enter opens a folder of the stream, making it and its parents where they are missing.
func (u *unpacker) enter(name string) (int, error) {
	if u.dir != nil && u.entered == name {
		return int(u.dir.Fd()), nil
	}
	f, err := u.open(name)
	if errors.Is(err, fs.ErrNotExist) && name != "." {
		f, err = u.makeFolders(name)
	}
	if err != nil {
		return 0, err
	}
	u.leave()
	u.dir, u.entered = f, name
	var st unix.Stat_t
	u.ours = os.Geteuid() == 0 && os.Getegid() == 0 && unix.Fstat(int(f.Fd()), &st) == nil && st.Mode&unix.S_ISGID == 0
	return int(f.Fd()), nil
}

func (u *unpacker) open(name string) (*os.File, error) {
	return u.tree.open(path.Join(u.into, name), unix.O_PATH|unix.O_DIRECTORY)
}

// makeFolders makes what is missing of a folder and its parents. Few paths are resolved for it: how long that takes depends on how
// deep a folder lies, and a stream may have folders that lie very deep.
func (u *unpacker) makeFolders(name string) (*os.File, error) {
	parts := strings.Split(name, "/")
	there := sort.Search(len(parts), func(n int) bool {
		f, err := u.open(path.Join(parts[:n+1]...))
		if err == nil {
			f.Close()
		}
		return err != nil
	})
	f, err := u.open(path.Join(parts[:there]...))
	for ; err == nil && there < len(parts); there++ {
		f, err = u.makeFolder(f, parts[there], path.Join(parts[:there+1]...))
	}
	return f, err
}

// makeFolder makes and opens a folder in parent, which it closes.
func (u *unpacker) makeFolder(parent *os.File, base, name string) (*os.File, error) {
	defer parent.Close()
	dir := int(parent.Fd())
	made := unix.Mkdirat(dir, base, 0o755)
	if made != nil && !errors.Is(made, unix.EEXIST) {
		return nil, u.fail("make", name, made)
	}
	fd, err := unix.Openat(dir, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, u.fail("open", name, err)
	}
	if made == nil && u.owner != nil {
		unix.Fchownat(fd, "", u.owner.UID, u.owner.GID, unix.AT_EMPTY_PATH)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (u *unpacker) fail(verb, name string, err error) error {
	return &fs.PathError{Op: verb, Path: path.Join(u.into, name), Err: err}
}

func (u *unpacker) entry(name string, h *tar.Header, content io.Reader) error {
	dir, err := u.enter(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	if h.Typeflag == tar.TypeReg { // most entries are files that are new: a look first would be one system call more
		if err := u.fill(dir, base, name, unix.O_CREAT|unix.O_EXCL, h, content); !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	var st unix.Stat_t
	there := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case there && isDir && h.Typeflag != tar.TypeDir:
		return fmt.Errorf("cannot overwrite the folder %s with a file", path.Join(u.into, name))
	case there && !isDir && h.Typeflag == tar.TypeDir:
		return fmt.Errorf("cannot overwrite the file %s with a folder", path.Join(u.into, name))
	case there && isDir:
		return u.finish(dir, base, name, h)
	case there:
		if err := unix.Unlinkat(dir, base, 0); errors.Is(err, unix.EBUSY) && h.Typeflag == tar.TypeReg && st.Mode&unix.S_IFMT == unix.S_IFREG {
			return u.fill(dir, base, name, unix.O_TRUNC, h, content) // something is mounted on it: the file itself stays
		} else if err != nil && !errors.Is(err, unix.ENOENT) {
			return u.fail("replace", name, err)
		}
	}
	return u.make(dir, base, name, h, content)
}

func (u *unpacker) make(dir int, base, name string, h *tar.Header, content io.Reader) error {
	var err error
	switch h.Typeflag {
	case tar.TypeReg:
		return u.fill(dir, base, name, unix.O_CREAT|unix.O_EXCL, h, content)
	case tar.TypeDir:
		err = unix.Mkdirat(dir, base, 0o700)
	case tar.TypeSymlink:
		err = unix.Symlinkat(h.Linkname, dir, base)
	case tar.TypeLink:
		return u.link(dir, base, name, h)
	case tar.TypeFifo:
		err = unix.Mknodat(dir, base, unix.S_IFIFO|0o600, 0)
	case tar.TypeChar, tar.TypeBlock:
		kind := uint32(unix.S_IFCHR)
		if h.Typeflag == tar.TypeBlock {
			kind = unix.S_IFBLK
		}
		err = unix.Mknodat(dir, base, kind|0o600, int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))))
	default:
		return fmt.Errorf("cannot unpack %s: entries of type %q are not known", name, h.Typeflag)
	}
	if err != nil {
		return u.fail("make", name, err)
	}
	return u.finish(dir, base, name, h)
}

// link gives a file that the stream brought before another name.
func (u *unpacker) link(dir int, base, name string, h *tar.Header) error {
	target := strings.TrimPrefix(path.Clean("/"+h.Linkname), "/")
	from, err := u.open(path.Dir(target))
	if err != nil {
		return err
	}
	defer from.Close()
	if err := unix.Linkat(int(from.Fd()), path.Base(target), dir, base, 0); err != nil {
		return u.fail("link", name, err)
	}
	return nil
}

// fill writes a regular file.
func (u *unpacker) fill(dir int, base, name string, flags int, h *tar.Header, content io.Reader) error {
	fd, err := unix.Openat(dir, base, flags|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return u.fail("write", name, err)
	}
	defer unix.Close(fd)
	if err := u.write(fd, name, content); err != nil {
		return err
	}
	if uid, gid := u.ownerOf(h); flags&unix.O_EXCL == 0 || !u.ours || uid != 0 || gid != 0 {
		if err := unix.Fchown(fd, uid, gid); err != nil {
			return u.fail("give to its owner", name, err)
		}
	}
	if err := unix.Fchmod(fd, uint32(h.Mode&0o7777)); err != nil { // after the owner, which takes set-user-id bits away
		return u.fail("set the mode of", name, err)
	}
	if value := h.PAXRecords[paxXattr+capability]; value != "" {
		if err := unix.Fsetxattr(fd, capability, []byte(value), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return u.fail("set the capabilities of", name, err)
		}
	}
	if err := futimens(fd, timespec(h.ModTime)); err != nil {
		return u.fail("set the time of", name, err)
	}
	return nil
}

// futimens sets the times of an open file: without a name to look up, it takes half as long.
func futimens(fd int, t unix.Timespec) error {
	times := [2]unix.Timespec{t, t}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func (u *unpacker) write(fd int, name string, content io.Reader) error {
	for {
		n, err := content.Read(u.buf)
		for b := u.buf[:n]; len(b) > 0; {
			m, werr := unix.Write(fd, b)
			if werr != nil && !errors.Is(werr, unix.EINTR) {
				return u.fail("write", name, werr)
			}
			b = b[max(m, 0):]
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read the tar stream: %w", err)
		}
	}
}

func (u *unpacker) ownerOf(h *tar.Header) (uid, gid int) {
	if u.owner != nil {
		return u.owner.UID, u.owner.GID
	}
	return h.Uid, h.Gid
}

// finish sets what a file that is no regular one has beside its name.
func (u *unpacker) finish(dir int, base, name string, h *tar.Header) error {
	uid, gid := u.ownerOf(h)
	if err := unix.Fchownat(dir, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return u.fail("give to its owner", name, err)
	}
	if h.Typeflag != tar.TypeSymlink {
		if err := chmodat(dir, base, uint32(h.Mode&0o7777)); err != nil {
			return u.fail("set the mode of", name, err)
		}
	}
	if h.Typeflag == tar.TypeDir {
		u.folders = append(u.folders, madeFolder{name, h.ModTime})
		return nil
	}
	return u.setTime(dir, name, h.ModTime)
}

func (u *unpacker) setTime(dir int, name string, t time.Time) error {
	times := []unix.Timespec{timespec(t), timespec(t)}
	if err := unix.UtimesNanoAt(dir, path.Base(name), times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return u.fail("set the time of", name, err)
	}
	return nil
}

// chmodat changes the mode of what is no link: the kernel's fchmodat follows links, which one may be by now.
func chmodat(dir int, base string, mode uint32) error {
	fd, err := unix.Openat(dir, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.ELOOP
	}
	return unix.Chmod(kernel.FDPath(fd), mode)
}

// settleFolders gives folders their times, the deepest first.
func (u *unpacker) settleFolders() error {
	for i := len(u.folders) - 1; i >= 0; i-- {
		f := u.folders[i]
		dir, err := u.enter(path.Dir(f.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // somebody removed it
		}
		if err != nil {
			return err
		}
		if err := u.setTime(dir, f.name, f.time); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func timespec(t time.Time) unix.Timespec {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return unix.Timespec{}
	}
	return ts
}
