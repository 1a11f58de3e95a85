package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
)

// Rotation loses no line: ctr.log is given a second name, ctr.log.1, by a link, and conmon is told to begin a new file, which
// it renames over ctr.log; until then it goes on in the old one. Nothing is truncated. Cut short at any point, the same
// inode under both names tells that conmon has not been told, or has not done it yet.

// limits is a LogConfig with its defaults filled in.
type limits struct {
	size  int64 // bytes
	files int   // ctr.log included
}

func limitsOf(c api.LogConfig) limits {
	l := limits{size: 10 << 20, files: 3}
	if c.Driver == api.LogLocal {
		l = limits{size: 20 << 20, files: 5}
	}
	if c.MaxSize > 0 {
		l.size = c.MaxSize
	}
	if c.MaxFile > 0 {
		l.files = c.MaxFile
	}
	return l
}

// State is what log rotation must know of one pod's log.
type State struct {
	Path string // of the file that is written
	Size int64  // its bytes
	Max  int64  // at which it should be rotated
	// Pending says that a rotation has begun and conmon still writes to the old file.
	Pending bool
}

// State looks at the log. The zero State, without a path, means that there is none (yet).
func (l Log) State() (State, error) {
	path := l.Path
	if err := strange(path); err != nil {
		return State{}, err
	}
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || !l.Config.Kept() {
		return State{}, nil
	}
	if err != nil {
		return State{}, err
	}
	s := State{Path: path, Size: fi.Size(), Max: limitsOf(l.Config).size}
	if old, err := os.Stat(chainPath(path, 1)); err == nil {
		s.Pending = os.SameFile(fi, old)
	}
	return s, nil
}

// Rotate begins a rotation: older files move up by one, the oldest goes, and conmon is told to begin a new file, which it
// does a moment later. Only the group's monitor may call it: two at once would tell conmon twice.
func (l Log) Rotate() error {
	path := l.Path
	last := 1 // the end of the chain, or the first gap in it
	for ; last < limitsOf(l.Config).files-1; last++ {
		if _, err := os.Lstat(chainPath(path, last)); err != nil {
			break
		}
	}
	for i := last; i > 1; i-- {
		if err := os.Rename(chainPath(path, i-1), chainPath(path, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot rotate the log of %q: %w", l.Pod, err)
		}
	}
	os.Remove(chainPath(path, 1)) // the oldest by now, if it is still there
	if err := os.Link(path, chainPath(path, 1)); err != nil {
		return fmt.Errorf("cannot rotate the log of %q: %w", l.Pod, err)
	}
	return l.Reopen()
}

// Reopen tells conmon to begin a new file, unless an earlier word to that effect still waits to be read: hearing it twice
// would have it drop what it wrote in between. A conmon that is gone is fine: its next one begins where it left off.
func (l Log) Reopen() error {
	ctl, err := os.OpenFile(filepath.Join(filepath.Dir(l.Path), "ctl"), os.O_WRONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot reach conmon of %q: %w", l.Pod, err)
	}
	defer ctl.Close()
	if waiting, err := unix.IoctlGetInt(int(ctl.Fd()), unix.TIOCINQ); err == nil && waiting > 0 {
		return nil
	}
	if _, err := ctl.WriteString("2 0 0\n"); err != nil { // a message of type 2: reopen the logs
		return fmt.Errorf("cannot have conmon of %q reopen its log: %w", l.Pod, err)
	}
	return nil
}

// Trim removes files beyond those that are kept, once a rotation is done: with a single file, the one it left.
func (l Log) Trim() {
	if limitsOf(l.Config).files == 1 {
		os.Remove(chainPath(l.Path, 1))
	}
}
