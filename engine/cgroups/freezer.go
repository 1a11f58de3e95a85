package cgroups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/kernel"
)

// Freezer stops and resumes all processes of a cgroup and of those below it, without their knowing.
type Freezer struct {
	dir     string
	unified bool
}

func FreezerOf(group string) Freezer {
	dir, unified := dirIn(mountsByController(), "freezer", group)
	return Freezer{dir, unified}
}

func (f Freezer) write(v1, v2 string) error {
	name, value := "freezer.state", v1
	if f.unified {
		name, value = "cgroup.freeze", v2
	}
	return os.WriteFile(filepath.Join(f.dir, name), []byte(value), 0)
}

// Asked reports whether the cgroup is frozen, or on its way to it.
func (f Freezer) Asked() bool {
	if f.unified {
		b, _ := os.ReadFile(filepath.Join(f.dir, "cgroup.freeze"))
		return strings.TrimSpace(string(b)) == "1"
	}
	b, err := os.ReadFile(filepath.Join(f.dir, "freezer.state"))
	return err == nil && strings.TrimSpace(string(b)) != "THAWED"
}

// frozen reports whether nothing in the cgroup runs any more.
func (f Freezer) frozen() bool {
	if f.unified {
		b, _ := os.ReadFile(filepath.Join(f.dir, "cgroup.events"))
		return strings.Contains("\n"+string(b), "\nfrozen 1\n")
	}
	b, _ := os.ReadFile(filepath.Join(f.dir, "freezer.state"))
	return strings.TrimSpace(string(b)) == "FROZEN"
}

// freezeDeadline bounds a freeze: a process that hangs in the kernel cannot be stopped.
const freezeDeadline = 10 * time.Second

// Freeze returns once nothing in the cgroup runs; if that cannot be had it goes on as before.
func (f Freezer) Freeze(ctx context.Context, w *kernel.Watcher) error {
	if f.dir == "" {
		return errors.New("the kernel offers no freezer")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, freezeDeadline, fmt.Errorf("its processes did not stop within %s: one may hang in the kernel", freezeDeadline))
	defer cancel()
	var err error
	if f.unified {
		err = f.freezeV2(ctx, w)
	} else {
		err = f.freezeV1(ctx)
	}
	if err != nil {
		f.Thaw()
	}
	return err
}

// freezeV2 follows the kernel's word.
func (f Freezer) freezeV2(ctx context.Context, w *kernel.Watcher) error {
	s, err := w.Add(f.dir, unix.IN_MODIFY)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := f.write("", "1"); err != nil {
		return err
	}
	for !f.frozen() {
		select {
		case <-s.Events:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// freezeV1 asks again and again: v1 tells nobody when it is done, and a process that was forking is missed by the first try.
func (f Freezer) freezeV1(ctx context.Context) error {
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		if err := f.write("FROZEN", ""); err != nil {
			return err
		}
		if f.frozen() {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Thaw is idempotent; a cgroup that is gone is fine.
func (f Freezer) Thaw() error {
	if f.dir == "" {
		return nil
	}
	err := f.write("THAWED", "0")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
