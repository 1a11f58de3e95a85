package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/kernel"
)

// Pack writes what lies at name to w as a tar stream, a folder with all that is in it. Its entry is called as; for a folder as
// may be empty: then the stream has what is in the folder. A link at the end of name is not followed (see Resolve).
//
// Sockets are left out, and so is what file systems of the kernel show below the folder, and memory: neither is what anybody
// means by the files of a container. A file that shrinks meanwhile is filled up with zeros.
func (t Tree) Pack(ctx context.Context, w io.Writer, name, as string) error {
	return t.pack(ctx, w, name, as, &packer{})
}

// PackLayer writes what is in a folder that was the upper one of an overlay as a layer of an image: what was removed is marked
// the way that images have it. Empty files and folders at the places skip, which begin without a slash, are left out. With userXattrs the
// overlay's own marks are in attributes that any user may set.
func (t Tree) PackLayer(ctx context.Context, w io.Writer, skip []string, userXattrs bool) error {
	p := &packer{layer: true, skip: skip, xattrs: "trusted."}
	if userXattrs {
		p.xattrs = "user."
	}
	return t.pack(ctx, w, "/", "", p)
}

func (t Tree) pack(ctx context.Context, w io.Writer, name, as string, p *packer) error {
	f, err := t.open(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	buffered := bufio.NewWriterSize(w, 256<<10)
	p.ctx, p.tar, p.linked, p.dev, p.buf = ctx, tar.NewWriter(buffered), map[inode]string{}, st.Dev, make([]byte, 64<<10)
	if as == "" && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = p.content(int(f.Fd()), name, "")
	} else {
		err = p.entry(int(f.Fd()), "", name, as, st)
	}
	if err == nil {
		err = p.tar.Close()
	}
	if err == nil {
		err = buffered.Flush()
	}
	return err
}

type packer struct {
	ctx    context.Context
	tar    *tar.Writer
	linked map[inode]string // entries of files with several names
	dev    uint64
	buf    []byte
	layer  bool     // overlay's marks become those of images
	skip   []string // places where something was mounted
	xattrs string   // namespace of the overlay's marks
}

// entry writes the file name in dir, or dir itself if name is empty; from is its path, for errors, and as its name in the
// stream.
func (p *packer) entry(dir int, name, from, as string, st unix.Stat_t) error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	if p.layer {
		if done, err := p.mark(dir, name, as, st); done || err != nil {
			return err
		}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return p.regular(dir, name, from, as)
	case unix.S_IFDIR:
		return p.folder(dir, name, from, as, st)
	case unix.S_IFSOCK:
		return nil
	}
	h := header(as, st)
	if h.Typeflag == tar.TypeSymlink {
		link, err := readlinkat(dir, name)
		if err != nil {
			return gone(from, err)
		}
		h.Linkname = link
	}
	return p.tar.WriteHeader(h)
}

// gone passes over what was removed since it was listed.
func gone(from string, err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return &fs.PathError{Op: "read", Path: from, Err: err}
}

func (p *packer) regular(dir int, name, from, as string) error {
	fd, err := openFrom(dir, name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return gone(from, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return gone(from, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil // something else by now
	}
	h := header(as, st)
	if st.Nlink > 1 {
		if first, seen := p.linked[inodeOf(&st)]; seen {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return p.tar.WriteHeader(h)
		}
		p.linked[inodeOf(&st)] = as
	}
	if n, err := unix.Fgetxattr(fd, capability, p.buf); err == nil {
		h.PAXRecords = map[string]string{paxXattr + capability: string(p.buf[:n])}
	}
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	return p.copyContent(fd, from, h.Size)
}

// copyContent writes exactly size bytes, whatever becomes of the file meanwhile. It does without an os.File, which costs as much
// as a small file takes to read.
func (p *packer) copyContent(fd int, from string, size int64) error {
	short := false // than it was
	for size > 0 {
		b := p.buf[:min(size, int64(len(p.buf)))]
		if !short {
			n, err := unix.Read(fd, b)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return &fs.PathError{Op: "read", Path: from, Err: err}
			}
			if short = n == 0; short {
				clear(p.buf)
			} else {
				b = b[:n]
			}
		}
		if _, err := p.tar.Write(b); err != nil {
			return err
		}
		size -= int64(len(b))
	}
	return nil
}

func (p *packer) folder(dir int, name, from, as string, st unix.Stat_t) error {
	h := header(as+"/", st)
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	fd, err := openFrom(dir, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return gone(from, err)
	}
	defer unix.Close(fd)
	if st.Dev != p.dev && passing(fd) {
		return nil
	}
	if p.layer {
		if err := p.markOpaque(fd, as); err != nil {
			return err
		}
	}
	return p.content(fd, from, as)
}

// passing reports whether a mounted file system holds nothing that anybody keeps: what the kernel shows, and memory.
func passing(fd int) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil {
		return false
	}
	return slices.Contains([]int64{unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.TMPFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.DEVPTS_SUPER_MAGIC, mqueueMagic, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC}, int64(st.Type))
}

const mqueueMagic = 0x19800202

// content writes what is in a folder, in the order of names.
func (p *packer) content(dir int, from, as string) error {
	fd, err := openFrom(dir, "", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return gone(from, err)
	}
	defer unix.Close(fd)
	files, err := readDir(fd)
	if err != nil {
		return &fs.PathError{Op: "read", Path: from, Err: err}
	}
	for _, file := range files {
		if err := p.file(fd, file, path.Join(from, file.name), path.Join(as, file.name)); err != nil {
			return err
		}
	}
	return nil
}

// file writes one file of the folder dir.
func (p *packer) file(dir int, file dirent, from, as string) error {
	if file.kind == unix.DT_REG && !p.layer { // it is looked at once it is open
		return p.entry(dir, file.name, from, as, unix.Stat_t{Mode: unix.S_IFREG})
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, file.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return gone(from, err)
	}
	return p.entry(dir, file.name, from, as, st)
}

// dirent is a name in a folder; kind is unix.DT_UNKNOWN where the file system does not tell.
type dirent struct {
	name string
	kind byte
}

// readDir lists a folder by name. That of package os looks where a kind is not told, by path: the wrong one for a folder that was
// opened in another root.
func readDir(fd int) ([]dirent, error) {
	const head = 19 // bytes before the name in the kernel's struct linux_dirent64: inode, offset, length of the entry, kind
	var found []dirent
	for buf := make([]byte, 32<<10); ; {
		n, err := unix.Getdents(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			slices.SortFunc(found, func(a, b dirent) int { return strings.Compare(a.name, b.name) })
			return found, nil
		}
		for b := buf[:n]; len(b) >= head; b = b[binary.NativeEndian.Uint16(b[16:]):] {
			name, _, _ := bytes.Cut(b[head:], []byte{0})
			if string(name) != "." && string(name) != ".." {
				found = append(found, dirent{string(name), b[18]})
			}
		}
	}
}

// openFrom opens a file of a folder, never through a link; with an empty name the folder, which may be open as a path only, or
// the file itself, again.
func openFrom(dir int, name string, flags int) (int, error) {
	flags |= unix.O_CLOEXEC
	if name == "" {
		return unix.Open(kernel.FDPath(dir), flags, 0)
	}
	return unix.Openat(dir, name, flags|unix.O_NOFOLLOW, 0)
}

const (
	capability = "security.capability"
	paxXattr   = "SCHILY.xattr."
)

func header(as string, st unix.Stat_t) *tar.Header {
	h := &tar.Header{
		Name: as, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: time.Unix(st.Mtim.Sec, 0), Format: tar.FormatPAX, // fractions of a second would double the headers
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
	case unix.S_IFDIR:
		h.Typeflag = tar.TypeDir
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR:
		h.Typeflag = tar.TypeChar
	case unix.S_IFBLK:
		h.Typeflag = tar.TypeBlock
	default:
		panic(fmt.Sprintf("file of type %o", st.Mode&unix.S_IFMT)) // there is no other
	}
	if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	}
	return h
}
