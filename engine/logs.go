package engine

import (
	"context"
	"errors"
	"io/fs"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/logfile"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// Logs passes the output of a pod to out, line by line and in order, over all files that rotation has kept. It ends at the
// end of the log, or, if it follows, when the pod has ended; an error of out ends it too and is returned, as is ctx's cause.
// errdefs.IsFailedPrecondition if the pod keeps no log.
func (s *store) Logs(ctx context.Context, name string, opt logfile.Options, out func(api.LogLine) error) error {
	// The record is enough: what the pod does at the moment is of interest only to those who follow.
	var p record
	err := disk.ReadJSON(s.e.paths.spec(name), &p)
	if !disk.IsName(name) || errors.Is(err, fs.ErrNotExist) {
		return missingPod(name)
	}
	if err != nil {
		return err
	}
	if !p.Spec.Container.Log.Kept() {
		return fault.New(errdefs.ErrFailedPrecondition, "%q keeps no log: its logging driver is %q", name, api.LogNone)
	}
	ended := func() bool {
		now, err := s.read(name)
		if err != nil || now.ID != p.ID {
			return true
		}
		if now.state.Status == api.StatusRunning || now.state.Status == api.StatusRestarting {
			return false
		}
		return !now.policy().restartsNext()
	}
	return s.Log(name, p.Spec.Container.Log).Read(ctx, opt, logfile.Run{Watch: s.e.watch, Dir: s.e.paths.runPod(name), Ended: ended}, out)
}

// Log is the log of the pod of that name, kept as c says. It reads nothing of the pod.
func (s *store) Log(name string, c api.LogConfig) logfile.Log {
	return logfile.Log{Pod: name, Path: s.e.paths.log(name), Config: c}
}

// strangeLog is an error if something else is in the place of files of the pod's log.
func (p podRun) strangeLog() error {
	_, err := p.e.Log(p.Spec.Name, p.Spec.Container.Log).Strange()
	return err
}

// renewLog removes what is in the place of files of the log, and has conmon begin a new one.
func (p podRun) renewLog() error {
	log := p.e.Log(p.Spec.Name, p.Spec.Container.Log)
	cleared, err := log.Clear()
	if cleared && p.state.Status == api.StatusRunning {
		err = errors.Join(err, log.Reopen())
	}
	return err
}

// maxWaitLine bounds a line shown in an error.
const maxWaitLine = 500

// lastLines returns the last n lines of a pod's output, as far as they can be had.
func (s *store) lastLines(name string, n int) []string {
	var lines []string
	s.Logs(context.Background(), name, logfile.Options{Tail: n}, func(l api.LogLine) error {
		lines = append(lines, string(l.Text[:min(len(l.Text), maxWaitLine)]))
		return nil
	})
	return lines
}
