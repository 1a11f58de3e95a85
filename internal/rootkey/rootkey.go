// Package rootkey keeps the key of a data root, by which digests of possibly secret values cannot be guessed.
package rootkey

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"podc.example/podc/internal/disk"
)

// Size is that of the key of the data root, in bytes.
const Size = 32

// Path is where the key of a data root lies.
func Path(root string) string { return filepath.Join(root, "key") }

// Of is the key that digests of possibly secret values are made with. It is made with the first project; a data root
// that cannot be written gets a passing one, and saved is false.
func Of(root string) (key []byte, saved bool, err error) {
	path := Path(root)
	if key, err = disk.ReadFile(path); err == nil && len(key) == Size {
		return key, true, nil
	}
	if fi, lerr := os.Stat(path); lerr == nil && !fi.Mode().IsRegular() {
		err = nil // it is replaced, as one of another size is
	}
	unreadable := errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 // as is the whole data root: an ordinary user looks at a file
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !unreadable {
		return nil, false, fmt.Errorf("cannot read the key of %s: %w", root, err)
	}
	damaged := err == nil
	key = make([]byte, Size)
	rand.Read(key) // never fails
	if err := os.MkdirAll(root, 0o700); err != nil {
		return key, false, nil
	}
	if damaged {
		return key, disk.WriteFile(path, key, 0o600, disk.Durable) == nil, nil
	}
	return first(root, path, key)
}

// first saves key unless another process was quicker; then that one's counts.
func first(root, path string, key []byte) ([]byte, bool, error) {
	mine := path + "." + rand.Text()
	defer os.Remove(mine)
	if err := disk.WriteFile(mine, key, 0o600, disk.Durable); err != nil {
		return key, false, nil
	}
	linked := os.Link(mine, path) == nil
	saved, err := disk.ReadFile(path)
	if err != nil || len(saved) != Size || linked && disk.SyncDir(root) != nil {
		return key, false, nil
	}
	return saved, true, nil
}
