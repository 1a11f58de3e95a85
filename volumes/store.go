// Package volumes keeps named and anonymous volumes: folders with a record beside them. It knows no pods; who uses a volume
// is the caller's business.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// Store is the volumes below one folder. It is safe for concurrent use, within and across processes.
type Store struct{ dir string }

// Open returns the store in dir. It has no side effect.
func Open(dir string) *Store { return &Store{dir} }

func (s *Store) record(name string) string { return filepath.Join(s.dir, name, "volume.json") }

// removed is what becomes of the record when the volume goes: the mark by which its folder may be deleted.
func (s *Store) removed(name string) string { return filepath.Join(s.dir, name, "removed.json") }

// locks is where the locks of volumes lie: beside them, since they are there before a volume and after it.
func (s *Store) locks() string { return filepath.Join(s.dir, ".locks") }

// Path is the folder of a volume's data.
func (s *Store) Path(name string) string { return filepath.Join(s.dir, name, "_data") }

// Lock excludes others who create, seed or remove the volume. Order: after the pod's and the network's locks.
func (s *Store) lock(ctx context.Context, name string) (*disk.Lock, error) {
	if !disk.IsName(name) {
		return nil, fault.New(errdefs.ErrInvalidArgument, "volume name %q is not valid", name)
	}
	w := disk.Wait{For: fmt.Sprintf("volume %q", name), Patience: 10 * time.Minute} // seeding a large one takes long
	return disk.LockWait(ctx, filepath.Join(s.locks(), name), w)
}

// Create makes a volume, or returns the one that has the name already, whose record then stands. A name that is empty is
// not valid.
func (s *Store) Create(ctx context.Context, v api.Volume) (api.Volume, error) {
	if v.Driver != "" && v.Driver != "local" {
		return api.Volume{}, fault.New(errdefs.ErrInvalidArgument, "cannot create volume %q: driver %q is not known (only local)", v.Name, v.Driver)
	}
	if err := CheckOptions(v.Options); err != nil {
		return api.Volume{}, fmt.Errorf("cannot create volume %q: %w", v.Name, err)
	}
	if err := valid.Labels(v.Labels); err != nil {
		return api.Volume{}, fault.New(errdefs.ErrInvalidArgument, "cannot create volume %q: %w", v.Name, err)
	}
	l, err := s.lock(ctx, v.Name)
	if err != nil {
		return api.Volume{}, err
	}
	defer l.Unlock()
	if have, err := s.Get(v.Name); !errdefs.IsNotFound(err) {
		return have, err
	}
	if _, err := os.Lstat(s.removed(v.Name)); err == nil { // a removal that was cut short
		if err := s.clear(v.Name); err != nil {
			return api.Volume{}, fmt.Errorf("cannot create volume %q: %w", v.Name, err)
		}
	}
	// The data folder is made after its parent and before the record: a volume without a record does not exist yet.
	if err := os.MkdirAll(s.Path(v.Name), 0o755); err != nil {
		return api.Volume{}, fmt.Errorf("cannot create volume %q: %w", v.Name, err)
	}
	for _, dir := range []string{s.dir, filepath.Dir(s.Path(v.Name))} {
		if err := os.Chmod(dir, 0o700); err != nil {
			return api.Volume{}, err
		}
	}
	v.Driver, v.Created = "local", time.Now()
	if err := disk.WriteJSON(s.record(v.Name), v, disk.Durable); err != nil {
		return api.Volume{}, fmt.Errorf("cannot create volume %q: %w", v.Name, err)
	}
	return v, nil
}

// Get returns a volume; errdefs.IsNotFound if there is none such. One whose record is damaged is errors.Is(err,
// disk.ErrDamaged): its data is there.
func (s *Store) Get(name string) (api.Volume, error) {
	var v api.Volume
	err := error(fs.ErrNotExist)
	if disk.IsName(name) {
		err = disk.ReadJSON(s.record(name), &v)
	}
	if err == nil && v.Name != name {
		err = fmt.Errorf("%w %s: it is not that of this volume", disk.ErrDamaged, s.record(name))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return v, fault.New(errdefs.ErrNotFound, "volume %q does not exist", name)
	case err != nil:
		return v, fmt.Errorf("cannot read volume %q: %w", name, err)
	}
	return v, nil
}

// List returns all volumes by name. A volume that vanishes meanwhile is not an error, nor is one whose record is damaged,
// which Damaged lists: it harms nobody else.
func (s *Store) List() (map[string]api.Volume, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	list := map[string]api.Volume{}
	for _, e := range entries {
		if !disk.IsName(e.Name()) {
			continue
		}
		v, err := s.Get(e.Name())
		if errdefs.IsNotFound(err) || errors.Is(err, disk.ErrDamaged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list[v.Name] = v
	}
	return list, nil
}

// Damaged lists the volumes whose record cannot be read, each with the reason.
func (s *Store) Damaged() map[string]error {
	entries, _ := os.ReadDir(s.dir)
	damaged := map[string]error{}
	for _, e := range entries {
		if _, err := s.Get(e.Name()); errors.Is(err, disk.ErrDamaged) {
			damaged[e.Name()] = err
		}
	}
	return damaged
}

// Remove deletes a volume and its data. Idempotent. That nobody uses it is for the caller to see to.
func (s *Store) Remove(ctx context.Context, name string) error {
	return s.remove(ctx, name, func() bool {
		_, err := os.Lstat(s.record(name))
		return err == nil || s.leftOver(name)
	})
}

// RemoveStray deletes a folder that Strays has found to be podc's, unless a volume has been made of it meanwhile.
func (s *Store) RemoveStray(ctx context.Context, name string) error {
	return s.remove(ctx, name, func() bool {
		_, err := s.Get(name)
		return errdefs.IsNotFound(err) && s.leftOver(name)
	})
}

// leftOver reports whether a folder without a record is what a creation or a removal has left: it bears the mark of a removal, or
// nothing was put into it yet.
func (s *Store) leftOver(name string) bool {
	if _, err := os.Lstat(s.removed(name)); err == nil {
		return true
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return true // only its lock is there
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // half written
			continue
		}
		if bare, err := isEmpty(filepath.Join(s.dir, name, e.Name())); e.Name() != "_data" || err != nil || !bare {
			return false
		}
	}
	return err == nil
}

// remove asks under the volume's lock whether it still is to go.
func (s *Store) remove(ctx context.Context, name string, goes func() bool) error {
	l, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if !goes() {
		return nil
	}
	// Without its record the volume is gone; what remains, if this process dies now, Strays finds.
	err = os.Rename(s.record(name), s.removed(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove volume %q: %w", name, err)
	}
	if err := s.clear(name); err != nil {
		return fmt.Errorf("cannot remove volume %q: %w", name, err)
	}
	os.Remove(filepath.Join(s.locks(), name))
	os.Remove(s.locks())
	return nil
}

// Strays lists folders and locks in the store that are of no volume, and whether they are podc's to remove: what a process that
// died while creating or removing left. Others hold data that somebody may miss. It removes the folder of locks if that is empty.
func (s *Store) Strays() (map[string]bool, error) {
	var names []string
	for _, dir := range []string{s.dir, s.locks()} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	os.Remove(s.locks()) // fails unless it is empty
	strays := map[string]bool{}
	for _, name := range names {
		if _, err := s.Get(name); disk.IsName(name) && errdefs.IsNotFound(err) && !disk.Held(filepath.Join(s.locks(), name)) {
			strays[name] = s.leftOver(name)
		}
	}
	return strays, nil
}

// Size is how much room the data of a volume takes on disk, in bytes.
func (s *Store) Size(ctx context.Context, name string) (int64, error) {
	if _, err := s.Get(name); err != nil {
		return 0, err
	}
	return disk.Usage(ctx, s.Path(name))
}
