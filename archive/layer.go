package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/kernel"
)

// Overlay marks what was removed by a device 0:0 of its name, and a folder that hides the one below by an attribute, of those that only
// root may set or of those that any user may; images by an empty file with a prefix to its name, and by one with a name of its own.
const (
	removedPrefix = ".wh."
	opaqueMark    = ".wh..wh..opq"
	opaqueXattr   = "overlay.opaque"
	movedXattr    = "overlay.redirect"
)

// mark deals with what has a form of its own in a layer; done says that nothing more is to be written.
func (p *packer) mark(dir int, name, as string, st unix.Stat_t) (done bool, err error) {
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFCHR && st.Rdev == 0:
		return true, p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path.Join(path.Dir(as), removedPrefix+path.Base(as)), Format: tar.FormatPAX})
	case !slices.Contains(p.skip, as):
		return false, nil
	case kind == unix.S_IFREG:
		return st.Size == 0, nil
	case kind == unix.S_IFDIR:
		return emptyFolder(dir, name), nil
	}
	return false, nil
}

func emptyFolder(dir int, name string) bool {
	fd, err := openFrom(dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	_, err = f.Readdirnames(1)
	return errors.Is(err, io.EOF)
}

// markOpaque is for the folder fd, called as.
func (p *packer) markOpaque(fd int, as string) error {
	if _, err := unix.Getxattr(kernel.FDPath(fd), p.xattrs+movedXattr, p.buf); err == nil {
		return fmt.Errorf("the folder /%s was moved, and its content stayed in the image: the kernel's overlay has redirect_dir on, with which no layer can be made", as)
	}
	n, err := unix.Getxattr(kernel.FDPath(fd), p.xattrs+opaqueXattr, p.buf)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) || err == nil && string(p.buf[:n]) != "y" {
		return nil
	}
	if err != nil {
		return err
	}
	return p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path.Join(as, opaqueMark), Format: tar.FormatPAX})
}
