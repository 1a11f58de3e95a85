package project

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"podc.example/podc/api"
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

// Between the removal of a pod and the creation of its successor nothing but this note connects the successor with the
// anonymous volumes it is to inherit. It is written before a plan runs, so that a run cut short costs nobody their data.

func (deps Deps) inheritPath(name string) string {
	return filepath.Join(deps.RunDir, "projects", name+".inherit.json")
}

func (deps Deps) readInherit(name string) (map[string]map[string]string, error) {
	var notes map[string]map[string]string
	err := disk.ReadJSON(deps.inheritPath(name), &notes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, disk.ErrDamaged) { // the volumes are still there, to be found by name
		return nil, nil
	}
	return notes, err
}

// DamagedNotes lists the notes of projects below a run root that cannot be read, each with the reason. They are passed over, and
// removing them does no harm.
func DamagedNotes(runDir string) map[string]error {
	damaged := map[string]error{}
	paths, _ := filepath.Glob(Deps{RunDir: runDir}.inheritPath("*"))
	for _, path := range paths {
		var notes map[string]map[string]string
		if err := disk.ReadJSON(path, &notes); errors.Is(err, disk.ErrDamaged) {
			damaged[path] = err
		}
	}
	return damaged
}

// runInheriting runs a plan with the note of its inheritances in place. Afterwards only those stay that are still due.
func (deps Deps) runInheriting(ctx context.Context, name string, o Observed, plan Plan) error {
	notes := maps.Clone(o.Inherit)
	for pod, have := range plan.inherits {
		if notes == nil {
			notes = map[string]map[string]string{}
		}
		notes[pod] = have
	}
	if len(plan.inherits) > 0 {
		if err := disk.WriteJSON(deps.inheritPath(name), notes, disk.Volatile); err != nil {
			return err
		}
	}
	if err := deps.run(ctx, plan); err != nil || len(notes) == 0 {
		return err
	}
	maps.DeleteFunc(notes, func(pod string, _ map[string]string) bool {
		_, made := plan.inherits[pod]
		return made || slices.ContainsFunc(o.Pods, func(p api.Pod) bool { return p.Spec.Name == pod })
	})
	if len(notes) == 0 {
		return os.RemoveAll(deps.inheritPath(name))
	}
	return disk.WriteJSON(deps.inheritPath(name), notes, disk.Volatile)
}
