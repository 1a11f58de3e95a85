package disk

import (
	"errors"
	"io/fs"
	"syscall"
)

// Stamp tells whether a file is the one seen before: it identifies the content by what changes when the file is replaced or
// written. Its zero values beside Path mean that there is none.
type Stamp struct {
	Path  string `json:"path"`
	Inode uint64 `json:"inode,omitempty"`
	Size  int64  `json:"size,omitempty"`
	MTime int64  `json:"mtime,omitempty"` // nanoseconds
	CTime int64  `json:"ctime,omitempty"` // nanoseconds; changes with any write, rename or change of mode
}

// StampOf stamps the file at path, following symbolic links. Errors other than absence mean that nothing can be said about it.
func StampOf(path string) (Stamp, error) {
	var st syscall.Stat_t
	err := syscall.Stat(path, &st)
	switch {
	case errors.Is(err, syscall.EINTR):
		return StampOf(path)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return Stamp{Path: path}, nil
	case err != nil:
		return Stamp{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return Stamp{Path: path, Inode: st.Ino, Size: st.Size, MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano()}, nil
}

// Fresh reports whether the file is still as it was when the stamp was taken.
func (s Stamp) Fresh() bool {
	now, err := StampOf(s.Path)
	return err == nil && now == s
}
