package project

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"podc.example/podc/internal/disk"
)

// lockDeadline bounds the wait for another command on the same project, which may itself be waiting for slow services.
const lockDeadline = time.Hour

func (deps Deps) lockPath(name string) string {
	return filepath.Join(deps.RunDir, "projects", name+".lock")
}

// lock takes the project's lock, the first in the order of locks, so that no two commands change one project at once. What
// runs of the project is watched over from then on, whatever happened before. On a full disk it may return no lock, and no error.
func (deps Deps) lock(ctx context.Context, name string) (*disk.Lock, error) {
	lock, err := deps.acquire(ctx, name)
	if disk.IsFull(err) {
		return nil, nil
	}
	if err == nil {
		deps.supervise(ctx, name)
	}
	return lock, err
}

// acquire takes the lock and no more.
func (deps Deps) acquire(ctx context.Context, name string) (*disk.Lock, error) {
	lock, err := disk.LockWait(ctx, deps.lockPath(name), disk.Wait{For: "project " + name, Patience: lockDeadline, Begin: func(holder string) {
		deps.Report(Event{Kind: LockAwaited, Patience: lockDeadline, Text: "waiting for project lock held by " + holder})
	}})
	if err != nil {
		return nil, fmt.Errorf("cannot lock project %s: %w", name, err)
	}
	lock.Note()
	return lock, nil
}

func (deps Deps) supervise(ctx context.Context, name string) {
	if err := deps.Engine.Supervise(ctx, name); err != nil {
		// What is asked for may well work all the same, and taking the project down may be the remedy.
		deps.Report(Event{Kind: Warned, Text: err.Error()})
	}
}

// Idle returns when no command is at work on the project, or with ctx's cause.
func (deps Deps) Idle(ctx context.Context, name string) error {
	return disk.Await(ctx, deps.lockPath(name))
}

// forget removes what the project kept in the run root, the lock that is held included: who waits for it notices.
func (deps Deps) forget(name string) {
	os.Remove(deps.inheritPath(name))
	os.Remove(deps.lockPath(name))
}
