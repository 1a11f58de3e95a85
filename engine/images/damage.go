package images

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// indexes are the files in which containers/storage keeps what a store holds.
func indexes(graphRoot string) []string {
	return []string{
		filepath.Join(graphRoot, "overlay-images", "images.json"),
		filepath.Join(graphRoot, "overlay-layers", "layers.json"),
		filepath.Join(graphRoot, "overlay-containers", "containers.json"),
	}
}

// checkIndexes finds an index that cannot be read, before containers/storage waits for a FIFO or takes "null" for an empty store.
// The error is errdefs.IsDataLoss.
func checkIndexes(graphRoot string) error {
	for _, path := range indexes(graphRoot) {
		var list []json.RawMessage
		if err := disk.ReadJSON(path, &list); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.New(errdefs.ErrDataLoss, "%w: take down what uses its images, move the file away, and load or pull them anew", err)
		}
	}
	return nil
}
