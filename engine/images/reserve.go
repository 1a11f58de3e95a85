package images

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
)

// A removal writes the store's indexes anew, and on a full disk there is no room for that. So a file beside them keeps some: it goes
// when a removal, or a look, has failed for want of room, and comes back with the next that finds room for it.

// leastReserve is the least that is kept, in bytes; more where the largest index is large.
const leastReserve = 256 << 10

func reservePath(graphRoot string) string { return filepath.Join(graphRoot, "podc-reserve") }

// keepReserve makes the reserve where it is missing or too small, if there is room for it.
func keepReserve(graphRoot string) {
	want := int64(leastReserve)
	if fi, err := os.Stat(filepath.Join(graphRoot, "overlay-layers", "layers.json")); err == nil {
		want = max(want, 2*fi.Size())
	}
	path := reservePath(graphRoot)
	if fi, err := os.Stat(path); err == nil && fi.Size() >= want {
		return
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Fallocate(int(f.Fd()), 0, 0, want+want/4) != nil {
		os.Remove(path) // others need the room more
	}
}

// WithReserve calls remove, which opens the store of c, and once more with the room of the reserve if the disk is full. For what
// removes things or looks: remove must be idempotent. Close makes the reserve anew.
func WithReserve(c Config, remove func() error) error {
	err := remove()
	if !disk.IsFull(err) {
		return err
	}
	opts, cerr := storeOptions(c)
	if cerr != nil || os.Remove(reservePath(opts.GraphRoot)) != nil {
		return err
	}
	return remove()
}
