// Package archive turns folders into tar streams and back, without trusting either side: paths are resolved by the kernel below
// one folder, and every step from there is taken by descriptor, so that no link, and nobody who swaps folders for links
// meanwhile, leads out of it. It knows files and no containers.
package archive

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Tree is a folder that files are copied from or to.
type Tree struct {
	dir     *os.File
	resolve uint64
}

// Inside is the tree of a root folder as a process sees it whose root it is: paths, and links on the way, begin there. The
// folder stays the caller's.
func Inside(root *os.File) Tree {
	return Tree{dir: root, resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
}

// Below is the tree of a folder in which no link is followed. The folder stays the caller's.
func Below(dir *os.File) Tree {
	return Tree{dir: dir, resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
}

// Stat says what lies at a path.
type Stat struct {
	Name    string // the last part of the path
	Size    int64  // bytes
	Mode    fs.FileMode
	ModTime time.Time
	Link    string // of a symbolic link: where it leads
}

// Stat looks at a path; a link at its end is followed only if follow is set. The error of a path that does not exist is
// fs.ErrNotExist.
func (t Tree) Stat(name string, follow bool) (Stat, error) {
	flags := unix.O_PATH
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	f, err := t.open(name, flags)
	if err != nil {
		return Stat{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return Stat{}, err
	}
	s := Stat{Name: path.Base(path.Clean("/" + name)), Size: fi.Size(), Mode: fi.Mode(), ModTime: fi.ModTime()}
	if s.Mode&fs.ModeSymlink != 0 {
		s.Link, err = readlinkat(int(f.Fd()), "")
	}
	return s, err
}

// Resolve returns the path that a link at the end of name means, name itself if it is none. Where it leads need not exist.
func (t Tree) Resolve(name string) (string, error) {
	for range maxLinks {
		s, err := t.Stat(name, false)
		if errors.Is(err, fs.ErrNotExist) || err == nil && s.Mode&fs.ModeSymlink == 0 {
			return name, nil
		}
		if err != nil {
			return "", err
		}
		if path.IsAbs(s.Link) {
			name = s.Link
		} else {
			name = path.Join(path.Dir(path.Clean("/"+name)), s.Link)
		}
	}
	return "", &fs.PathError{Op: "open", Path: name, Err: unix.ELOOP}
}

// maxLinks is the kernel's limit to links in a row.
const maxLinks = 40

func (t Tree) open(name string, flags int) (*os.File, error) {
	rel := strings.TrimLeft(name, "/")
	if rel == "" {
		rel = "."
	}
	for {
		fd, err := unix.Openat2(int(t.dir.Fd()), rel, &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: t.resolve})
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR): // EAGAIN: something on the way was renamed meanwhile
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

func readlinkat(dir int, name string) (string, error) {
	for size := 256; ; size *= 2 {
		b := make([]byte, size)
		n, err := unix.Readlinkat(dir, name, b)
		if err != nil || n < size {
			return string(b[:max(n, 0)]), err
		}
	}
}

// inode names a file beyond doubt, as long as it exists.
type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{st.Dev, st.Ino} }
