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
