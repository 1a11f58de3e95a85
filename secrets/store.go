// Package secrets keeps the secrets and configs that compose files call external: small files with a name, of which each data
// root has its own. They are never changed, only made and removed. It knows neither pods nor compose files.
package secrets

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// Kind tells secrets from configs. Both are readable by root only.
type Kind struct {
	Name  string // "secret" or "config"
	Limit int    // bytes of the content
	dir   string
}

// Secret and Config are the two kinds; the limits are docker's.
var (
	Secret = Kind{"secret", 500 << 10, "secrets"}
	Config = Kind{"config", 1000 << 10, "configs"}
)

// Store is what a data root holds of one kind. It is safe for concurrent use, within and across processes.
type Store struct {
	kind Kind
	dir  string
}

// Open returns the store of a kind in the data root. It has no side effect.
func Open(root string, k Kind) *Store { return &Store{k, filepath.Join(root, k.dir)} }

// Path is the file of an object, whether it exists or not.
func (s *Store) Path(name string) string { return filepath.Join(s.dir, name+".json") }

// isName is docker's rule: of the names of other objects those that are short and end as they begin.
func isName(s string) bool {
	return disk.IsName(s) && len(s) <= 64 && !strings.ContainsRune("_.-", rune(s[len(s)-1]))
}

// Create keeps an object and returns it with its id; errdefs.IsAlreadyExists if the name is taken.
func (s *Store) Create(ctx context.Context, o api.Object) (api.Object, error) {
	if !isName(o.Name) {
		return o, fault.New(errdefs.ErrInvalidArgument, "cannot create %s %q: a name is letters, digits, \"-\", \"_\" and \".\", with a letter or digit at both ends, 64 at most", s.kind.Name, o.Name)
	}
	if len(o.Data) > s.kind.Limit || len(o.Data) == 0 {
		return o, fault.New(errdefs.ErrInvalidArgument, "cannot create %s %q: it holds %d bytes, and between 1 and %d are possible", s.kind.Name, o.Name, len(o.Data), s.kind.Limit)
	}
	if err := valid.Labels(o.Labels); err != nil {
		return o, fault.New(errdefs.ErrInvalidArgument, "cannot create %s %q: %w", s.kind.Name, o.Name, err)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return o, fmt.Errorf("cannot create %s %q: %w", s.kind.Name, o.Name, err)
	}
	l, err := s.lock(ctx)
	if err != nil {
		return o, err
	}
	defer l.Unlock()
	if _, err := os.Lstat(s.Path(o.Name)); err == nil {
		return o, fault.New(errdefs.ErrAlreadyExists, "cannot create %s %q: it exists; remove it first", s.kind.Name, o.Name)
	}
	o.ID, o.Created = strings.ToLower(rand.Text()[:25]), time.Now()
	if err := disk.WriteJSON(s.Path(o.Name), o, disk.Durable); err != nil {
		return o, fmt.Errorf("cannot create %s %q: %w", s.kind.Name, o.Name, err)
	}
	return o, nil
}

// lock excludes others who create or remove. What somebody who died while writing left behind goes then.
func (s *Store) lock(ctx context.Context) (*disk.Lock, error) {
	l, err := disk.LockWait(ctx, filepath.Join(s.dir, ".lock"), disk.Wait{For: s.dir, Patience: time.Minute})
	if err != nil {
		return nil, err
	}
	left, _ := filepath.Glob(filepath.Join(s.dir, ".tmp-*"))
	for _, path := range left {
		os.Remove(path)
	}
	return l, nil
}

// Get returns the object of a name or an id; errdefs.IsNotFound if there is none.
func (s *Store) Get(ref string) (api.Object, error) {
	if isName(ref) {
		o, err := s.read(ref)
		if !errors.Is(err, fs.ErrNotExist) {
			return o, err
		}
	}
	list, err := s.List()
	if err != nil {
		return api.Object{}, err
	}
	if i := slices.IndexFunc(list, func(o api.Object) bool { return o.ID == ref }); i >= 0 {
		return list[i], nil
	}
	return api.Object{}, fault.New(errdefs.ErrNotFound, "%s %q does not exist", s.kind.Name, ref)
}

func (s *Store) read(name string) (api.Object, error) {
	var o api.Object
	err := disk.ReadJSON(s.Path(name), &o)
	if err == nil && (o.Name != name || len(o.Data) == 0) {
		err = fmt.Errorf("%w %s: it is not that of this name", disk.ErrDamaged, s.Path(name))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("cannot read %s %q: %w", s.kind.Name, name, err)
	}
	return o, err
}

// List returns all objects by name. One that is damaged is left out: its name can still be removed.
func (s *Store) List() ([]api.Object, error) {
	list, _, err := s.readAll()
	return list, err
}

// Damaged lists the objects that cannot be read, each with the reason and with what to do.
func (s *Store) Damaged() (map[string]string, error) {
	_, damaged, err := s.readAll()
	return damaged, err
}

func (s *Store) readAll() (list []api.Object, damaged map[string]string, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	damaged = map[string]string{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !isName(name) {
			continue
		}
		switch o, err := s.read(name); {
		case err == nil:
			list = append(list, o)
		case errors.Is(err, disk.ErrDamaged):
			damaged[name] = fmt.Sprintf("%v; remove it (podc %s rm %s) and create it anew", err, s.kind.Name, name)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, nil, err
		}
	}
	slices.SortFunc(list, func(a, b api.Object) int { return strings.Compare(a.Name, b.Name) })
	return list, damaged, nil
}

// Remove forgets the object of a name or an id; errdefs.IsNotFound if there is none. Pods that were made with it keep it.
func (s *Store) Remove(ctx context.Context, ref string) error {
	o, err := s.Get(ref)
	if err != nil && !errors.Is(err, disk.ErrDamaged) {
		return err
	}
	name := o.Name
	if err != nil {
		name = ref
	}
	l, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if err := os.RemoveAll(s.Path(name)); err != nil {
		return fmt.Errorf("cannot remove %s %q: %w", s.kind.Name, name, err)
	}
	return disk.SyncDir(s.dir)
}
