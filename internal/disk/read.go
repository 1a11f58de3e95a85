package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A state file may have been replaced by anything: nothing here waits for a FIFO or a device, or reads without end.

// maxSize bounds what is read, in bytes: no state file comes near it.
const maxSize = 64 << 20

var errTooLarge = fmt.Errorf("it is larger than %d MiB", maxSize>>20)

// Exists reports whether there is something at path that can be looked at; links are followed.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

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
	fd, err := ignoringEINTR(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) })
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
		if len(b) > maxSize {
			return nil, &fs.PathError{Op: "read", Path: path, Err: errTooLarge}
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}

// damage says what makes a file one that nobody's access, but its own state, keeps from being read; "" if nothing does.
func damage(path string, err error) string {
	if fi, lerr := os.Stat(path); lerr == nil && !fi.Mode().IsRegular() {
		return "it is no regular file"
	}
	for _, e := range []error{errTooLarge, unix.ELOOP, unix.EIO, unix.EUCLEAN, unix.ENXIO} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return ""
}

// OpenAppend opens a file of podc's own for appending, and makes it where it is missing; what is no regular file is replaced.
func OpenAppend(path string) (*os.File, error) {
	for again := false; ; again = true {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|unix.O_NONBLOCK, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil {
			if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() {
				return f, nil
			}
			f.Close()
			err = &fs.PathError{Op: "open", Path: path, Err: errors.New("it is no regular file")}
		}
		if fi, lerr := os.Stat(path); again || lerr == nil && fi.Mode().IsRegular() || os.RemoveAll(path) != nil {
			return nil, err
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

// ErrIsFolder is ReadRegular's error for a folder.
var ErrIsFolder = errors.New("is a directory")

// ReadRegular reads a regular file of at most limit bytes: what users name may be anything. Opening never blocks, so that a pipe, a
// device or a file such as /proc/kmsg is refused rather than waited for. Errors do not name path; a missing file satisfies
// errors.Is(err, fs.ErrNotExist).
func ReadRegular(path string, limit int64) ([]byte, error) { return readFile(path, limit, false) }

// pipeDeadline is how long ReadGiven waits for the end of a pipe.
const pipeDeadline = 30 * time.Second

// ReadGiven is ReadRegular for files named on a command line, where a shell may have put a pipe: <(...). It waits for the pipe's
// end for 30 seconds.
func ReadGiven(path string, limit int64) ([]byte, error) { return readFile(path, limit, true) }

func readFile(path string, limit int64, pipes bool) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, Pathless(err)
	}
	defer f.Close()
	if st, err := f.Stat(); pipes && err == nil && st.Mode()&fs.ModeNamedPipe != 0 {
		err = f.SetReadDeadline(time.Now().Add(pipeDeadline))
		if err != nil {
			return nil, Pathless(err)
		}
	} else if err := checkRegular(f, limit); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, Pathless(err)
	}
	if int64(len(b)) > limit {
		return nil, tooLarge(limit)
	}
	return b, nil
}

func checkRegular(f *os.File, limit int64) error {
	st, err := f.Stat()
	switch {
	case err != nil:
		return Pathless(err)
	case st.IsDir():
		return ErrIsFolder
	case !st.Mode().IsRegular():
		return errors.New("is not a regular file")
	case st.Size() > limit:
		return tooLarge(limit)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return err
	}
	switch fs.Type { // some of their files wait for news, and take what they are read from whoever else waits
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC:
		return errors.New("is not a regular file but the kernel's")
	}
	return nil
}

func tooLarge(limit int64) error {
	if limit >= 1<<20 {
		return fmt.Errorf("is larger than %d MiB", limit>>20)
	}
	return fmt.Errorf("is larger than %d KiB", limit>>10)
}

// Pathless drops the path that os errors carry, for messages that name the file already.
func Pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
