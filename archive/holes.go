package archive

import (
	"archive/tar"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/fault"
)

// maxHoles is what the sparse files of a stream take together, in bytes: they are written out, and a stream of a kilobyte can
// stand for all that a disk has.
const maxHoles = 1 << 30

// Holes is the size of the sparse files that a tar stream had so far.
type Holes int64

// Add counts an entry, and fails once there is too much: errdefs.IsInvalidArgument.
func (n *Holes) Add(h *tar.Header) error {
	sparse := h.Typeflag == tar.TypeGNUSparse
	for key := range h.PAXRecords {
		sparse = sparse || strings.HasPrefix(key, "GNU.sparse.")
	}
	if !sparse {
		return nil
	}
	if h.Size > maxHoles-int64(*n) {
		return fault.New(errdefs.ErrInvalidArgument, "it has sparse files of more than %d MiB: make the archive without --sparse", maxHoles>>20)
	}
	*n += Holes(h.Size)
	return nil
}
