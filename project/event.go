package project

import (
	"errors"
	"sync"
	"time"

	"podc.example/podc/api"
)

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
