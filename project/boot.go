package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// BootOptions say what Boot works with beside labels.
type BootOptions struct {
	// Contents finds what configs and secrets of pods hold that lie in no file of their own, by ContentKey; a reboot has taken
	// them. It is asked only if a pod needs it. An error is a warning: the pods that need the contents then fail to start.
	Contents func(ctx context.Context, pods []api.Pod) (map[string][]byte, error)
}

const (
	// bootPatience bounds how long Boot tries again what has failed.
	bootPatience = time.Hour
	// firstPause lies before the second try, twice as much before the next, up to maxPause.
	firstPause = time.Second
	maxPause   = 30 * time.Second
	// A start that fails this often in a row in the same words is hopeless: one whose cause is known sooner than one that may be
	// a matter of time.
	hopelessKnown   = 3
	hopelessUnknown = 10
)

// Boot starts the pods of a group that their restart policies bring back once the machine has started (api.Pod.Returns), in
// the order of depends_on. What a pod depends on is waited for, but it is started even if that fails: a policy to restart says
// that it can do without. Nothing is recreated, and the compose file is not applied. A second Boot finds nothing to do. One pod
// that cannot start does not keep others from it. A machine that starts is busy: what fails is tried again until all that is due
// runs or is hopeless, and between two tries the project's lock is free.
func Boot(ctx context.Context, deps Deps, group string, opt BootOptions) error {
	deps.Report = serial(deps.Report)
	var lasting []error // of pods that are not due any more
	count := map[string]int{}
	pause := firstPause
	for end := time.Now().Add(bootPatience); ; pause = min(2*pause, maxPause) {
		err := bootOnce(ctx, deps, group, opt)
		if err == nil || ctx.Err() != nil {
			return errors.Join(append(lasting, err)...)
		}
		due, lookErr := deps.due(ctx, group)
		again, hopeless := map[string]int{}, true
		var left []error
		for _, failure := range failures(err) {
			var step *StepError
			if lookErr == nil && errors.As(failure, &step) && !slices.Contains(due, step.Step.Key.Name) {
				lasting = append(lasting, failure)
				continue
			}
			left = append(left, failure)
			again[failure.Error()] = count[failure.Error()] + 1
			hopeless = hopeless && again[failure.Error()] >= triesOf(failure)
		}
		if count = again; hopeless || time.Now().After(end) {
			return errors.Join(append(lasting, left...)...)
		}
		what := group
		if len(due) > 0 {
			what = strings.Join(due, ", ")
		}
		deps.Report(Event{Kind: Warned, Patience: pause, Text: fmt.Sprintf("waiting for %s, to be tried again in %s: %v", what, pause, errors.Join(left...))})
		if err := sleep(ctx, pause); err != nil {
			return errors.Join(append(append(lasting, left...), err)...)
		}
	}
}

// due names the pods of a group that are still to be brought back.
func (deps Deps) due(ctx context.Context, group string) ([]string, error) {
	s, err := deps.Engine.Snapshot(ctx, group)
	var names []string
	for _, p := range s.Pods {
		if p.Returns {
			names = append(names, p.Spec.Name)
		}
	}
	return names, err
}

// triesOf is after how many failures in the same words a start is hopeless.
func triesOf(err error) int {
	for _, known := range []func(error) bool{errdefs.IsNotFound, errdefs.IsInvalidArgument, errdefs.IsFailedPrecondition, errdefs.IsConflict,
		errdefs.IsAlreadyExists, errdefs.IsPermissionDenied, errdefs.IsNotImplemented, errdefs.IsDataLoss} {
		if known(err) {
			return hopelessKnown
		}
	}
	return hopelessUnknown
}

// failures lists the failed steps that Run has joined; what went wrong before there was a plan is one.
func failures(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, failure := range joined.Unwrap() {
		if !errors.As(failure, new(*StepError)) {
			return []error{err}
		}
	}
	return joined.Unwrap()
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// bootOnce is one try of Boot.
func bootOnce(ctx context.Context, deps Deps, group string, opt BootOptions) error {
	lock, err := deps.lock(ctx, group)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	o, err := deps.observe(ctx, group, nil)
	if err != nil {
		return err
	}
	contents := map[string][]byte{}
	if lost := lostContents(o.Pods); len(lost) > 0 && opt.Contents != nil {
		if contents, err = opt.Contents(ctx, lost); err != nil {
			deps.Report(Event{Kind: Warned, Text: fmt.Sprintf("cannot read again what configs and secrets of %s hold: %v", group, err)})
		}
	}
	plan, err := planBoot(Desired{Name: group}, o, contents)
	if err != nil {
		return err
	}
	return deps.run(ctx, plan)
}

// lostContents are the pods to bring back that need what is in no file.
func lostContents(pods []api.Pod) []api.Pod {
	inNone := func(f api.File) bool { return f.Source == "" }
	return slices.DeleteFunc(slices.Clone(pods), func(p api.Pod) bool {
		return !p.Returns || !p.FilesLost || !slices.ContainsFunc(p.Spec.Container.Files, inNone)
	})
}

func planBoot(d Desired, o Observed, contents map[string][]byte) (Plan, error) {
	p := newVerb(d, o, scheduling{})
	for _, u := range p.units {
		for i := range u.DependsOn {
			u.DependsOn[i].Required = false
		}
		for _, s := range u.slots {
			if !s.old.Returns {
				continue
			}
			u.policy = keep
			s.start = because(PolicyRestarts, s.old.Spec.Container.Restart.Name)
			if s.old.FilesLost {
				s.restore = &RestoreFiles{Name: s.old.Spec.Name, Contents: contentsOf(s.old, contents)}
			}
		}
	}
	return p.finish()
}

func contentsOf(pod *api.Pod, all map[string][]byte) map[string][]byte {
	own := map[string][]byte{}
	for _, f := range pod.Spec.Container.Files {
		if b, ok := all[ContentKey(serviceOf(pod), f.Target)]; ok {
			own[f.Target] = b
		}
	}
	return own
}

// shutdownLock bounds the wait for a command on the project when the machine goes down: the command is told to end too.
const shutdownLock = 10 * time.Second

// ShutDown stops all that runs of a group when the machine goes down, one-offs included, dependents first; what cannot be stopped
// in time keeps nothing else from it. No person is on record as having asked for it, so that the next Boot brings back what restart
// policies say. engine.Shutdown.Note goes before it.
func ShutDown(ctx context.Context, deps Deps, group string) error {
	deps.Report = serial(deps.Report)
	wait, cancel := context.WithTimeoutCause(ctx, shutdownLock, fmt.Errorf("it was not released within %s, and the machine does not wait", shutdownLock))
	defer cancel()
	lock, err := deps.acquire(wait, group)
	if err != nil {
		deps.Report(Event{Kind: Warned, Text: err.Error()})
	}
	defer lock.Unlock()
	o, err := deps.observe(ctx, group, nil)
	if err != nil {
		return err
	}
	plan, err := planShutDown(Desired{Name: group}, o)
	if err != nil {
		return err
	}
	return deps.run(ctx, plan)
}

func planShutDown(d Desired, o Observed) (Plan, error) {
	p := newVerb(d, o, scheduling{shutdown: true})
	for _, s := range p.slots() {
		s.halt(because(MachineStops))
	}
	return p.finish()
}
