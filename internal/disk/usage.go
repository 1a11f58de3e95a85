package disk

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
)

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
