package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// When the machine goes down its containers are stopped, each with its own signal and grace, and no restart policy brings one
// back meanwhile; the next start of the machine does. Three things say that it goes down: the note of `podc boot --stop`, which
// systemd runs first of all; systemd itself; and, where there is none, the SIGTERM that init sends to every process, of which a
// monitor takes note.

const (
	// termPatience is how long a SIGTERM to a monitor counts as the end of the machine, which follows it within seconds. Should
	// a person have sent it by mistake, restarts go on after that.
	termPatience = time.Minute
)

// Shutdown notes that the machine goes down.
type Shutdown struct {
	paths  paths
	opened time.Duration // when the engine was opened, since the start of the machine
}

// shutdownNote lies in RUN. Times are since the start of the machine, which no clock that is set can change.
type shutdownNote struct {
	Boot  string        `json:"boot"`
	At    time.Duration `json:"at"`
	Until time.Duration `json:"until,omitempty"` // 0: until a start is asked for
}

// Note puts on record that the pods of the root end now without restarts, and refuses starts that engines opened before
// are still about to make. The first start asked for later lifts it. Idempotent.
func (s Shutdown) Note() error { return s.note(0) }

// NoteTermination is Note for a helper that was sent SIGTERM: it holds for a minute.
func (s Shutdown) NoteTermination() error { return s.note(termPatience) }

func (s Shutdown) note(d time.Duration) error {
	if n, ok := s.last(); ok && n.Until == 0 {
		return nil
	}
	n := shutdownNote{Boot: kernel.BootID(), At: kernel.SinceBoot()}
	if d > 0 {
		n.Until = n.At + d
	}
	err := os.MkdirAll(s.paths.run, 0o700)
	if err == nil {
		err = disk.WriteJSON(s.paths.shutdown(), n, disk.Volatile)
	}
	if err != nil {
		return fmt.Errorf("cannot note that the machine goes down: %w", err)
	}
	return nil
}

// last is the note that holds, if there is one.
func (s Shutdown) last() (n shutdownNote, ok bool) {
	err := disk.ReadJSON(s.paths.shutdown(), &n)
	return n, err == nil && n.Boot == kernel.BootID() && (n.Until == 0 || kernel.SinceBoot() < n.Until)
}

// Forget lifts what Note noted. Idempotent.
func (s Shutdown) Forget() error {
	if err := os.Remove(s.paths.shutdown()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot start anything again: %w", err)
	}
	return nil
}

// allowStart is for a start that was asked for: it is refused if the machine began to go down meanwhile, and lifts an older note,
// since whoever asks knows that the machine stays.
func (s Shutdown) allowStart() error {
	switch n, ok := s.last(); {
	case !ok:
		return nil
	case n.Until == 0 && n.At > s.opened:
		return fault.New(errdefs.ErrFailedPrecondition, "everything is being stopped (podc boot --stop)")
	}
	return s.Forget()
}

// Noted reports whether a note holds. It is for when a run has ended: systemd is asked when the restart is due.
func (s Shutdown) Noted() bool {
	_, noted := s.last()
	return noted
}

// systemctlPatience bounds the question to systemd.
const systemctlPatience = 5 * time.Second

// MachineStops reports whether systemd is about to stop the machine; false where there is no systemd.
func MachineStops() bool {
	if !cgroups.SystemdRuns() {
		return false
	}
	// Last of all, systemd gives way to a program that ends what is left, and that answers no question.
	if strings.HasPrefix(kernel.Comm(1), "systemd-shut") {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), systemctlPatience)
	defer cancel()
	state, _ := child.Command(ctx, "systemctl", "is-system-running").Output()
	return strings.TrimSpace(string(state)) == "stopping"
}

// ShutDownPod is StopPod for the end of the machine: nobody is on record as having asked for it, so that the next start of the
// machine brings the pod back as far as its restart policy says. pre_stop hooks that fail, or take longer than five minutes, do
// not keep it from being stopped. One that somebody stops already, or that does not run, stays what it is.
func (e *Engine) ShutDownPod(ctx context.Context, name string) error {
	hooks, cancel := context.WithTimeoutCause(ctx, api.ShutdownHooks, fmt.Errorf("the machine does not wait longer than %s", api.ShutdownHooks))
	err := e.hooks().preStop(hooks, name)
	cancel()
	if err != nil {
		err = podError("run the hooks of", name, err)
	}
	return errors.Join(err, e.stopPod(ctx, name, stopRequest{shutdown: true}))
}

// ShutDownAll shuts down what runs of a group, or of all if it is empty, at once and in no order.
func (e *Engine) ShutDownAll(ctx context.Context, group string) error {
	pods, err := e.Pods(group)
	errs := make([]error, len(pods)+1)
	errs[len(pods)] = err
	var wg sync.WaitGroup
	for i, p := range pods {
		if p.Status.Up() {
			wg.Go(func() { errs[i] = e.ShutDownPod(ctx, p.Spec.Name) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// AwaitHelpers returns when no monitor and no conmon of the root is left, or with ctx's cause.
func (m Monitors) AwaitHelpers(ctx context.Context) error {
	for _, h := range m.processes() {
		if err := h.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Ending reports whether the pods of the root end with the machine. It asks systemd, where that runs.
func (e *Engine) Ending() bool { return e.Shutdown().Noted() || MachineStops() }

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
