// Package logfile knows the files that conmon writes the output of a container to: how they are read, followed over rotations, and
// rotated. It needs no engine.
package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// Log is the log of one pod: a chain of files, ctr.log, which conmon writes, and ctr.log.1, .2, ..., each older than the one before.
// The folder of ctr.log has conmon's control FIFO as well.
type Log struct {
	Pod    string // for messages
	Path   string // of ctr.log
	Config api.LogConfig
}

// Strange are the files of the log that are none.
func (l Log) Strange() (paths []string, errs error) {
	for i := range limitsOf(l.Config).files {
		path := chainPath(l.Path, i)
		if err := strange(path); err != nil {
			paths, errs = append(paths, path), errors.Join(errs, err)
		}
	}
	return paths, errs
}

// Clear removes what is in the place of files of the log, and reports whether there was any: conmon makes a new one at its next start,
// or when it is told to reopen it.
func (l Log) Clear() (cleared bool, err error) {
	paths, _ := l.Strange()
	for _, path := range paths {
		err = errors.Join(err, disk.RemoveTree(path))
	}
	return len(paths) > 0, err
}

// file is one open file of the chain. A rotation may rename it meanwhile; what it is, its inode tells.
type file struct {
	*os.File
	info fs.FileInfo
	recordReader
}

func (f *file) same(o *file) bool { return os.SameFile(f.info, o.info) }

func chainPath(path string, i int) string {
	if i == 0 {
		return path
	}
	return path + "." + strconv.Itoa(i)
}

// openChain opens the files of the chain, newest first; none at all is no error. It begins anew if a rotation was completed
// meanwhile: after two of them the order would be lost.
func openChain(path string, files int) ([]*file, error) {
	for {
		chain, err := openChainOnce(path, files)
		if err != nil || len(chain) == 0 {
			return chain, err
		}
		now, err := os.Lstat(path)
		if err != nil || os.SameFile(now, chain[0].info) {
			return chain, nil
		}
		closeAll(chain)
	}
}

// openChainOnce is for a chain that one rotation is at work on, at most. That moves files towards the end of the chain, the
// way this goes, so one may be met twice but none is missed; whoever is met twice is kept once.
func openChainOnce(path string, files int) ([]*file, error) {
	var chain []*file
	missing := 0
	for i := 0; i < files && missing < 2; i++ {
		f, err := openFile(chainPath(path, i))
		if errors.Is(err, fs.ErrNotExist) {
			missing++ // a rotation under way, or one cut short, leaves a gap
			continue
		}
		if err != nil {
			closeAll(chain)
			return nil, err
		}
		if n := len(chain); n > 0 && chain[n-1].same(f) {
			f.Close()
			continue
		}
		chain = append(chain, f)
	}
	return chain, nil
}

// openFile waits for nothing, whatever is in the place of the file.
func openFile(path string) (*file, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if strange := strange(path); strange != nil {
		f.Close() // nil: an error of no interest
		return nil, strange
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &file{File: f, info: info, recordReader: recordReader{r: f}}, nil
}

// strange is an error if something else than a file is in the place of one.
func strange(path string) error {
	if fi, err := os.Lstat(path); err != nil || fi.Mode().IsRegular() {
		return nil
	}
	return fault.Hint(fault.New(errdefs.ErrDataLoss, "%w %s: it is no regular file", disk.ErrDamaged, path), "podc system check --repair")
}

func closeAll(files []*file) {
	for _, f := range files {
		f.Close()
	}
}

// skipTo leaves of chain, newest first, what holds its last n lines, read from the end of the newest file backwards.
func skipTo(chain []*file, n int) ([]*file, error) {
	lines, seen := 0, map[string]bool{}
	for i, f := range chain {
		start, whole := f.info.Size(), true
		err := recordsBackward(f, f.info.Size(), func(offset int64, head []byte) bool {
			// A line is counted at the record that ends it. The last one of each stream may be the beginning of one.
			if rec := parseRecord(head); rec.full || !seen[rec.stream] {
				lines++
				seen[rec.stream] = true
			}
			if lines > n {
				whole = false
				return false
			}
			start = offset
			return true
		})
		if err != nil {
			return nil, err
		}
		if whole {
			continue
		}
		if _, err := f.Seek(start, io.SeekStart); err != nil {
			return nil, err
		}
		f.read = start
		closeAll(chain[i+1:])
		return chain[:i+1], nil
	}
	return chain, nil
}

// recordHead is enough of a record to tell its time, stream and tag.
const recordHead = 64

// recordsBackward calls visit with the offset and the head of each record of r, last first, until it returns false.
func recordsBackward(r io.ReaderAt, size int64, visit func(offset int64, head []byte) bool) error {
	const block = 64 << 10
	buf := make([]byte, block+recordHead)
	for end := size; end > 0; {
		begin := max(0, end-block)
		// A record that begins at the end of the block has its head in the next one.
		n, err := r.ReadAt(buf[:min(end-begin+recordHead, size-begin)], begin)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		b := buf[:n]
		for i := min(int(end-begin), n) - 1; i >= 0; {
			// The record after the newline at i begins at i+1; a newline at the very end begins none.
			i = bytes.LastIndexByte(b[:i+1], '\n')
			if i < 0 {
				break
			}
			if at := begin + int64(i) + 1; at < size && !visit(at, recordStart(b[i+1:])) {
				return nil
			}
			i--
		}
		if begin == 0 {
			visit(0, recordStart(b))
			return nil
		}
		end = begin
	}
	return nil
}

func recordStart(b []byte) []byte {
	b = b[:min(len(b), recordHead)]
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i]
	}
	return b
}

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
