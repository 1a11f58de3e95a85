package images

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// Transfers write temporary files. One that was killed leaves them; whoever transfers holds a lock shared, so that who gets
// it alone knows that all of them are left over.

// scratch is where those files lie.
type scratch struct {
	dir     string
	prefix  string // of the folders in which archives are laid out; it has the id of the podc root
	lock    string // held shared by transfers
	private bool   // nobody but podc keeps files in dir
}

// transferring keeps temporary files from being cleared away until release is called; left ones go before.
func (s scratch) transferring(ctx context.Context) (release func(), err error) {
	if err := s.clear(); err != nil {
		return nil, err
	}
	l, err := disk.LockShared(ctx, s.lock, disk.Wait{For: "who clears transfers of images away", Patience: 10 * time.Minute})
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}

// clear removes what killed transfers left, unless one is under way.
func (s scratch) clear() error {
	l, err := disk.TryLock(s.lock)
	if errors.Is(err, disk.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Unlock()
	var errs []error
	for _, path := range s.files() {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// left names what killed transfers left.
func (s scratch) left() []api.Problem {
	l, err := disk.TryLock(s.lock)
	if err != nil {
		return nil // a transfer is under way
	}
	defer l.Unlock()
	var problems []api.Problem
	for _, path := range s.files() {
		problems = append(problems, api.Problem{Kind: "file", Object: path, Detail: "left by a transfer that was killed"})
	}
	return problems
}

// files lists temporary files: in a private store all that is in their folder, else what bears podc's name.
func (s scratch) files() []string {
	pattern := s.prefix + "*"
	if s.private {
		pattern = "*"
	}
	paths, _ := filepath.Glob(filepath.Join(s.dir, pattern))
	return paths
}
