package disk

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// ReadFile is os.ReadFile for the small files that short commands read by the dozen: os prepares every file for the poller,
// which takes more system calls than reading it does.
func ReadFile(path string) ([]byte, error) {
	return readInto(make([]byte, 0, 2048), path, false)
}

// readInto is ReadFile with room to begin with. A read of a regular file is short only at its end; one of the kernel's own files
// may be short anywhere.
func readInto(b []byte, path string, regular bool) ([]byte, error) {
	fd, err := ignoringEINTR(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	for {
		room := cap(b) - len(b)
		n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, b[len(b):cap(b)]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		b = b[:len(b)+n]
		if n == 0 || regular && n < room {
			return b, nil
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
