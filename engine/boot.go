package engine

import (
	"context"
	"errors"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// returns reports whether the start of the machine is to bring the pod back, by the rules that docker has for the start of its
// daemon: it has run before, and `always` brings it back in any case, `unless-stopped` unless a person ended it, `on-failure`
// if its last run failed or was cut short and there are tries left. Beyond docker, `on-failure` respects a person's stop too,
// and what a person stopped since the machine started stays stopped under every policy.
func (p podPolicy) returns() bool {
	if p.last.Started.IsZero() || p.state.Status != api.StatusExited || p.stoppedByUser() {
		return false
	}
	switch p.Spec.Container.Restart.Name {
	case "always":
		return true
	case "unless-stopped":
		return !p.last.ByUser
	case "on-failure":
		ranSinceBoot := !p.state.Started.IsZero() && !p.state.Shutdown
		return !ranSinceBoot && !p.last.ByUser && !p.last.GaveUp && p.last.ExitCode != 0
	}
	return false
}

// durability is that of a record of the last run that replaces another: a power cut must not lose what the start of the machine
// goes by. While a pod runs again and again by its policy nothing of that changes, and nothing is synced.
func (p podPolicy) durability(old, now lastRun) disk.Durability {
	switch p.Spec.Container.Restart.Name {
	case "always":
		return disk.Durability(old.Started.IsZero())
	case "unless-stopped", "on-failure":
		return disk.Durability(old.Started.IsZero() || old.ByUser != now.ByUser || old.GaveUp != now.GaveUp)
	}
	return disk.Volatile // it does not return
}

// writeLast puts l on record. On a full disk that is done as well as it can be: what runs must be stoppable.
func (p *pod) writeLast(l lastRun, d disk.Durability) error {
	path := p.e.paths.last(p.Spec.Name)
	err := disk.WriteJSON(path, l, d)
	if d == disk.Durable && disk.IsFull(err) {
		err = disk.WriteJSON(path, l, disk.Volatile)
	}
	return err
}

// stoppedByUser reports whether a person asked for the end of the last run, or of the one under way.
func (p podPolicy) stoppedByUser() bool { return p.state.Stopping && !p.state.Shutdown }

// Tidy clears away what processes that died, or the machine's last run, have left. It is for before pods are started after a
// start of the machine; each start finds and clears away what is its own. Idempotent.
func (c Checker) Tidy(ctx context.Context) error {
	_, err := c.repair(ctx, false)
	return errors.Join(err, c.e.emptyTrash())
}

// recordStop puts on record that the pod is asked to end. If a person asks, that is on record in DATA, before the effect: its policy must not
// bring it back should the machine go down meanwhile.
func (p *pod) recordStop(how stopRequest) error {
	live := p.state.Status == api.StatusRunning || p.state.Status == api.StatusRestarting
	switch {
	case !how.shutdown:
		p.state.Stopping, p.state.Shutdown = true, false
	case live && !p.state.Stopping:
		p.state.Stopping, p.state.Shutdown = true, true
		return nil
	default: // a stop that a person asked for stays one
		return nil
	}
	switch p.Spec.Container.Restart.Name {
	case "unless-stopped", "on-failure":
	default:
		return nil // nobody asks
	}
	switch {
	case p.state.Status == api.StatusRunning:
		end := lastRun{Started: p.state.Started, ExitCode: 255, ByUser: true}
		return p.writeLast(end, disk.Durable)
	case p.last.Started.IsZero() || p.last.ByUser:
		return nil
	}
	p.last.ByUser = true
	return p.writeLast(p.last, disk.Durable)
}

// RestoreFiles puts the configs and secrets of a pod in place again that a reboot has taken: from their files on the host, and
// from contents, by target, where they have none. It is an error if one is in neither. A pod that has its files, or runs, is
// left as it is.
func (e *Engine) RestoreFiles(ctx context.Context, name string, contents map[string][]byte) error {
	err := e.update(ctx, name, func(p *pod) error {
		dir := e.paths.files(name)
		if len(p.Spec.Container.Files) == 0 || rootfs.HasFiles(dir) {
			return nil
		}
		files := append([]api.File(nil), p.Spec.Container.Files...)
		var missing []string
		for i, f := range files {
			content, known := contents[f.Target]
			if files[i].Content = content; f.Source == "" && !known {
				missing = append(missing, f.Target)
			}
		}
		if len(missing) > 0 {
			return fault.New(errdefs.ErrFailedPrecondition, "the content of %s is gone since the reboot, and is in no file", strings.Join(missing, ", "))
		}
		loaded, err := rootfs.LoadFiles(files)
		if err != nil {
			return err
		}
		return rootfs.WriteFiles(dir, loaded)
	})
	return podError("restore the files of", name, err)
}
