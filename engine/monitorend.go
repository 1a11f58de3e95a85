package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
)

// AwaitEnd returns when the monitor of a group with no pods left has ended, so that after it nothing of the group runs.
// The monitor ends by itself as soon as it sees that its group is empty; one that hangs is killed.
func (m Monitors) AwaitEnd(ctx context.Context, group string) error {
	err := m.awaitEnd(ctx, group)
	if err == nil || ctx.Err() != nil {
		return err
	}
	m.kill(group, "guard", "monitor")
	return m.awaitEnd(ctx, group)
}

func (m Monitors) awaitEnd(ctx context.Context, group string) error {
	dir := m.e.paths.monitor(group)
	ctx, cancel := disk.WithDeadline(ctx, monitorDeadline, "the monitor of "+group)
	defer cancel()
	w := disk.Wait{For: fmt.Sprintf("the end of the monitor of %q", group), Patience: monitorDeadline}
	for {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		monitor, err := disk.LockWait(ctx, filepath.Join(dir, "lock"), w)
		if err != nil {
			return err
		}
		// A guardian that has just lost its monitor starts one more, which ends at once.
		guardian, err := disk.TryLock(filepath.Join(dir, "guardian"))
		if err == nil {
			err = os.RemoveAll(dir)
			guardian.Unlock()
			monitor.Unlock()
			return err
		}
		monitor.Unlock()
		if !errors.Is(err, disk.ErrLocked) {
			return err
		}
		if guardian, err = disk.LockWait(ctx, filepath.Join(dir, "guardian"), w); err != nil {
			return err
		}
		guardian.Unlock()
	}
}

// forget removes what a dead monitor left, unless there is one again, somebody is starting one, or there are pods.
func (m Monitors) forget(group string) error {
	dir := m.e.paths.monitor(group)
	for _, name := range []string{"start", "lock", "guardian"} {
		l, err := disk.TryLock(filepath.Join(dir, name))
		if errors.Is(err, disk.ErrLocked) {
			return nil
		}
		if err != nil {
			return err
		}
		defer l.Unlock()
	}
	return m.ForgetGroup(group)
}

// ForgetGroup removes the folder of the monitor of a group that has no pods. The caller holds its locks, start and lock: who waits
// for them notices and begins anew. Idempotent.
func (m Monitors) ForgetGroup(group string) error {
	if pods, err := m.e.Pods(group); err != nil || len(pods) > 0 {
		return err
	}
	return os.RemoveAll(m.e.paths.monitor(group))
}

// lastPatience is how long a monitor or guardian of a group without pods may take to end by itself.
const lastPatience = 2 * time.Second

// end ends a monitor or guardian whose group has no pods, if it does not do so by itself.
func (m Monitors) end(ctx context.Context, h helperProcess) error {
	short, cancel := context.WithTimeout(ctx, lastPatience)
	defer cancel()
	if h.Wait(short) == nil {
		return nil
	}
	if pods, err := m.e.Pods(h.owner); err != nil || len(pods) > 0 {
		return err
	}
	return ignoreDone(h.Signal(unix.SIGKILL))
}

// kill ends processes of a group that answer to nothing else, by their verbs in that order.
func (m Monitors) kill(group string, verbs ...string) {
	all := m.processes()
	for _, verb := range verbs {
		for _, h := range all {
			if h.name == verb && h.owner == group {
				h.Signal(unix.SIGKILL)
			}
		}
	}
}
