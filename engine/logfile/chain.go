// Package logfile knows the files that conmon writes the output of a container to: how they are read, followed over rotations, and
// rotated. It needs no engine.
package logfile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
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
