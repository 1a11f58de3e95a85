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
