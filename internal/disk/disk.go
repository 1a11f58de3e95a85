// Package disk holds the few dangerous ways podc writes and locks files: JSON that is replaced in one step, and flocks
// that die with their holder. It is the only helper package shared by all others.
package disk

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Durability says whether a write must survive a power cut.
type Durability bool

const (
	// Durable syncs the file before it takes its name, and the folder after: for the data root.
	Durable Durability = true
	// Volatile replaces the file in one step but does not sync: for run state, which a reboot forgets anyway.
	Volatile Durability = false
)

// WriteJSON replaces path with v as JSON, mode 0600, without indentation, which every reader would pay for. Readers see the old or
// the new content, never a mixture.
func WriteJSON(path string, v any, d Durability) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot encode %s: %w", filepath.Base(path), err)
	}
	return WriteFile(path, append(b, '\n'), 0o600, d)
}

// WriteFile replaces path with data in one step: temporary file in the same folder, rename. The parent folder must exist. On
// a full disk a volatile file that is there already is written in place if it has the room: what runs must be stoppable, and
// removable, with no byte free.
func WriteFile(path string, data []byte, mode fs.FileMode, d Durability) error {
	err := replace(path, data, mode, d)
	if IsFull(err) && d == Volatile && overwrite(path, data) == nil {
		return nil
	}
	return err
}

// IsFull reports whether err says that a disk, or what a user may have of it, is full. Who asks for a lock that cannot be made for
// that reason knows that nobody holds it, and that nobody else can take it: what only removes things goes on without.
func IsFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

func replace(path string, data []byte, mode fs.FileMode, d Durability) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-"+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil && d == Durable {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		if err = os.Rename(f.Name(), path); errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTEMPTY) {
			// A folder in the place of a file of podc's own is damage.
			if err = os.RemoveAll(path); err == nil {
				err = os.Rename(f.Name(), path)
			}
		}
	}
	if err == nil && d == Durable {
		err = SyncDir(filepath.Dir(path))
	}
	return err
}

// overwrite writes into the blocks that a file has. Only for as long as one write takes may readers see a mixture.
func overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.EINVAL
	}
	if int64(len(data)) > st.Blocks*512 {
		return unix.ENOSPC
	}
	// Blanks over the rest, until it is cut off: they mean nothing in JSON.
	padded := append(data[:len(data):len(data)], bytes.Repeat([]byte{' '}, max(0, int(st.Size)-len(data)))...)
	if _, err := f.WriteAt(padded, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(data)))
}

// SyncDir makes renames and creations inside dir durable.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// ErrDamaged marks a state file that exists but cannot be decoded, as a power cut can leave it.
var ErrDamaged = errors.New("damaged state file")

// ReadJSON decodes path into v. A missing file is an error for which errors.Is(err, fs.ErrNotExist) holds; one that does not decode,
// holds nothing ("null"), or is none that can be read by anybody, such as a folder, satisfies errors.Is(err, ErrDamaged).
func ReadJSON(path string, v any) error {
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	b, err := readInto((*room)[:0], path, true)
	if err != nil {
		if why := damage(path, err); why != "" {
			return fmt.Errorf("%w %s: %s", ErrDamaged, path, why)
		}
		if errors.Is(err, unix.ENOTDIR) {
			return fmt.Errorf("%w: %w", err, fs.ErrNotExist)
		}
		return err
	}
	*room = b
	if err = json.Unmarshal(b, v); err == nil && bytes.HasPrefix(b, []byte("null")) {
		err = errors.New("it holds nothing")
	}
	if err != nil {
		return fmt.Errorf("%w %s: %s", ErrDamaged, path, cmp.Or(damage(path, nil), err.Error()))
	}
	return nil
}

// rooms are what JSON was read into before: decoding copies all that it keeps.
var rooms = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}
