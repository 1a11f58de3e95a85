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

// ReadOnce is ReadFile for files of which a read is short only at the end: regular ones, and the kernel's of one record, such as
// /proc/1/stat.
func ReadOnce(path string) ([]byte, error) {
	return readInto(make([]byte, 0, 2048), path, true)
}

// readInto reads a file into room, or into more if it does not suffice. Once says that a short read is the end.
func readInto(b []byte, path string, once bool) ([]byte, error) {
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
		if n == 0 || once && n < room {
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
