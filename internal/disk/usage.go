package disk

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// leastRoom is what a disk has that is not called full, in bytes: less does not suffice for anything.
const leastRoom = 64 << 10

// Full reports whether next to nothing fits on the disk of path any more. What a file system keeps for itself, or for root, does not
// count.
func Full(path string) bool {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return false
	}
	return st.Blocks > 0 && st.Bavail*uint64(st.Bsize) < leastRoom || st.Files > 0 && st.Ffree == 0
}

// Usage is how much room the files below dir take on disk, in bytes. A file with several names counts once; what vanishes
// meanwhile does not count, nor does a folder that does not exist.
func Usage(ctx context.Context, dir string) (int64, error) {
	var sum int64
	seen := map[[2]uint64]bool{}
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		if id := [2]uint64{uint64(st.Dev), st.Ino}; st.Nlink == 1 || fi.IsDir() || !seen[id] {
			seen[id] = true
			sum += st.Blocks * 512
		}
		return nil
	})
	return sum, err
}
