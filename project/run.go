package project

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"podc.example/podc/api"
)

// StepError is the failure of one step.
type StepError struct {
	Step Step
	Err  error
}

func (e *StepError) Error() string {
	var wait *api.WaitError
	if text := e.Err.Error(); errors.As(e.Err, &wait) || strings.HasPrefix(text, "cannot ") {
		return text // complete as it is
	}
	return fmt.Sprintf("cannot %s: %v", e.Step.Key, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }

// Run applies p, each step as soon as those it names in After have succeeded and those in Past have ended. A step whose
// dependency failed is skipped, and so are all that are not begun when ctx ends; independent steps go on. Run returns after
// every step has ended, with the failures joined, in the order of the plan; each is a *StepError. What several waits report of
// one pod in the same words is one failure. Plans are not undone: plan again to go on from where this one ended. Report may be nil,
// and is never called by two goroutines at once.
func Run(ctx context.Context, e Engine, p Plan, report func(Event)) error {
	r := &run{engine: e, results: make(map[Key]*result, len(p.Steps)), slots: make(chan struct{}, heavyAtOnce), report: serial(report)}
	for _, s := range p.Steps {
		r.results[s.Key] = &result{done: make(chan struct{})}
	}
	var wg sync.WaitGroup
	for _, s := range p.Steps {
		wg.Go(func() { r.walk(ctx, s) })
	}
	wg.Wait()
	errs := r.failures(p)
	if cause := context.Cause(ctx); cause != nil && r.cutShort {
		errs = append(errs, cause)
	}
	return errors.Join(errs...)
}

func (r *run) failures(p Plan) []error {
	var errs []error
	said := map[string]bool{}
	for _, s := range p.Steps {
		err := r.results[s.Key].err
		if err == nil || s.Optional || errors.As(err, new(*skipped)) || said[reason(err)] {
			continue
		}
		said[reason(err)] = true
		errs = append(errs, err)
	}
	return errs
}

// reason is what failed, whoever waited for it.
func reason(err error) string {
	var wait *api.WaitError
	if errors.As(err, &wait) {
		return wait.Error()
	}
	return err.Error()
}

// skipped says why a step was not done: not a failure of its own.
type skipped struct{ why string }

func (s *skipped) Error() string { return "skipped: " + s.why }

// result is how a step ended; err is valid once done is closed.
type result struct {
	done chan struct{}
	err  error
}

type run struct {
	engine  Engine
	results map[Key]*result
	slots   chan struct{} // held by heavy steps
	report  func(Event)

	mu       sync.Mutex // protects what follows
	cutShort bool       // ctx ended before every step could begin
}

// heavyAtOnce is how many heavy steps the machine can take.
var heavyAtOnce = max(8, 2*runtime.NumCPU())

// walk sees one step through. Its error is set before done is closed: whoever waits for the step sees how it ended.
func (r *run) walk(ctx context.Context, s Step) {
	res := r.results[s.Key]
	defer close(res.done)
	if why := r.await(s); why != "" {
		res.err = &skipped{why}
	} else {
		res.err = r.do(ctx, s)
	}
	r.report(ended(s, res.err))
}

// await blocks until the step may begin and returns why it must not, if so.
func (r *run) await(s Step) string {
	why := ""
	for _, key := range s.After {
		<-r.results[key].done
		if r.results[key].err != nil && why == "" {
			why = fmt.Sprintf("%q did not succeed", key)
		}
	}
	for _, key := range s.Past {
		<-r.results[key].done
	}
	return why
}

func (r *run) do(ctx context.Context, s Step) error {
	l := s.Do.limits()
	if l.heavy {
		select {
		case r.slots <- struct{}{}:
			defer func() { <-r.slots }()
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		r.mu.Lock()
		r.cutShort = true
		r.mu.Unlock()
		return &skipped{context.Cause(ctx).Error()}
	}
	r.report(Event{Kind: StepBegan, Step: &s, Patience: l.deadline})
	late := fmt.Errorf("not done within %s", l.deadline)
	stepCtx, cancel := context.WithTimeoutCause(ctx, l.deadline, late)
	defer cancel()
	err := s.Do.apply(stepCtx, r.engine)
	if err == nil {
		return nil
	}
	if context.Cause(stepCtx) == late && !errors.Is(err, late) {
		err = fmt.Errorf("%w: %w", late, err)
	}
	return &StepError{s, err}
}

// EventKind says what happened.
type EventKind int

const (
	LockAwaited  EventKind = iota // Text names the holder
	Planned                       // Plan is about to be run; it may be empty
	PrepareBegan                  // Image, How
	PrepareMoved                  // Image, How, Progress
	PrepareEnded                  // Image, How; Err if it failed
	RemovalBegan                  // Image
	RemovalEnded                  // Image; Err if it failed
	StepBegan                     // Step
	StepEnded                     // Step; Err if it failed
	StepSkipped                   // Step; Text says why, and so does Err
	Warned                        // Text; Err too, if it is about the failure of an optional Step
)

// Event is one piece of progress, for people.
type Event struct {
	Kind  EventKind
	Step  *Step
	Plan  *Plan
	Image string // reference
	How   Preparation
	Text  string
	Err   error

	Progress api.Progress
	// Patience is how long what has begun with it may take: nothing goes wrong before that.
	Patience time.Duration
}

// serial makes report safe to call from several goroutines, and never nil.
func serial(report func(Event)) func(Event) {
	if report == nil {
		return func(Event) {}
	}
	var mu sync.Mutex
	return func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		report(e)
	}
}

// ended describes the end of a step.
func ended(s Step, err error) Event {
	var left *skipped
	switch {
	case err == nil:
		return Event{Kind: StepEnded, Step: &s}
	case errors.As(err, &left):
		return Event{Kind: StepSkipped, Step: &s, Err: err, Text: left.why}
	case s.Optional:
		return Event{Kind: Warned, Step: &s, Err: err, Text: err.Error() + "; going on without it"}
	default:
		return Event{Kind: StepEnded, Step: &s, Err: err}
	}
}
