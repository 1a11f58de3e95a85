// Package fault is the one notation of what is wrong: a text for people, and beside it, never within it, what programs need to
// know: a class of containerd/errdefs, what can be done about it, and the exit code where the program's end has one of its own.
package fault

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/containerd/errdefs"
)

// Fault is an error with what stands beside its text. Any part may be missing; questions about it (errors.Is, errdefs.IsNotFound,
// HintOf, ExitOf) go on to Err.
type Fault struct {
	Class error  // of containerd/errdefs; nil: that of Err
	Text  string // complete, for people; may have several lines
	Hint  string // what can be done about it
	Exit  int    // code that the program ends with; 0: as others do
	Err   error  // the cause, whose text is part of Text
}

// Exit codes of a command in a container that could not be run, as shells and docker have them.
const (
	ExitUnable        = 125 // for whatever else keeps it from running
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// New is fmt.Errorf for an error of class: errors.Is and errdefs' own questions find the class, and the text is that of format
// and args alone, which may wrap with %w.
func New(class error, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Fault{Class: class, Text: err.Error(), Err: err}
}

// Invalid is New for what is asked for wrongly.
func Invalid(format string, args ...any) error {
	return New(errdefs.ErrInvalidArgument, format, args...)
}

// Hint is err with what can be done about it.
func Hint(err error, format string, args ...any) error {
	return &Fault{Text: err.Error(), Hint: fmt.Sprintf(format, args...), Err: err}
}

// Exit is err for which the program ends with code, which is not 0.
func Exit(err error, code int) error {
	return &Fault{Text: err.Error(), Exit: code, Err: err}
}

// Silent ends the program with code, which is not 0, and says nothing more: the code is a container's, or what it is about has
// been said.
func Silent(code int) error { return &Fault{Exit: code} }

func (f *Fault) Error() string { return cmp.Or(f.Text, "exit code "+strconv.Itoa(f.Exit)) }

// Unwrap has the class first: errdefs.Resolve gives the class that was stated last.
func (f *Fault) Unwrap() []error {
	var errs []error
	for _, err := range []error{f.Class, f.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// HintOf is what can be done about err, as it was stated last; "" where nothing is known.
func HintOf(err error) string {
	if f := first(err, func(f *Fault) bool { return f.Hint != "" }); f != nil {
		return f.Hint
	}
	return ""
}

// ExitOf is the exit code of a program that ends with err: 0 without one, else what was stated last, else 1.
func ExitOf(err error) int {
	if err == nil {
		return 0
	}
	if f := first(err, func(f *Fault) bool { return f.Exit != 0 }); f != nil {
		return f.Exit
	}
	return 1
}

// IsSilent reports whether err was made by Silent, or is beside one that was: then nothing is to be said.
func IsSilent(err error) bool {
	return first(err, func(f *Fault) bool { return f.Text == "" && f.Exit != 0 }) != nil
}

// Of is err as it reaches other processes: without the cause, of which class, hint and exit code are kept. nil is nil.
func Of(err error) *Fault {
	if err == nil {
		return nil
	}
	f := &Fault{Text: err.Error(), Hint: HintOf(err)}
	if class := errdefs.Resolve(err); class != errdefs.ErrUnknown {
		f.Class = class
	}
	if stated := first(err, func(f *Fault) bool { return f.Exit != 0 }); stated != nil {
		f.Exit = stated.Exit
	}
	if IsSilent(err) {
		f.Text = ""
	}
	return f
}

// first is the first fault within err, from the outside in, of which is holds.
func first(err error, is func(*Fault) bool) *Fault {
	var f *Fault
	if !errors.As(err, &f) || is(f) {
		return f
	}
	for _, below := range causes(err) {
		if f := first(below, is); f != nil {
			return f
		}
	}
	return nil
}

func causes(err error) []error {
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return []error{err.Unwrap()}
	case interface{ Unwrap() []error }:
		return err.Unwrap()
	}
	return nil
}

// wire is a fault as it crosses a process boundary: on the standard output of podc's helpers, and wherever podc is asked from afar.
type wire struct {
	Class string `json:"class,omitempty"` // a name of classes
	Text  string `json:"text,omitempty"`  // empty: only the exit code counts
	Hint  string `json:"hint,omitempty"`
	Exit  int    `json:"exit,omitempty"`
}

// classes are the stable names of the classes.
var classes = []struct {
	name string
	is   error
}{
	{"invalid_argument", errdefs.ErrInvalidArgument},
	{"not_found", errdefs.ErrNotFound},
	{"already_exists", errdefs.ErrAlreadyExists},
	{"permission_denied", errdefs.ErrPermissionDenied},
	{"resource_exhausted", errdefs.ErrResourceExhausted},
	{"failed_precondition", errdefs.ErrFailedPrecondition},
	{"conflict", errdefs.ErrConflict},
	{"not_modified", errdefs.ErrNotModified},
	{"aborted", errdefs.ErrAborted},
	{"out_of_range", errdefs.ErrOutOfRange},
	{"not_implemented", errdefs.ErrNotImplemented},
	{"internal", errdefs.ErrInternal},
	{"unavailable", errdefs.ErrUnavailable},
	{"data_loss", errdefs.ErrDataLoss},
	{"unauthenticated", errdefs.ErrUnauthenticated},
	{"canceled", context.Canceled},
	{"deadline_exceeded", context.DeadlineExceeded},
}

// MarshalJSON leaves the cause out: see Of, which keeps what counts of it.
func (f *Fault) MarshalJSON() ([]byte, error) {
	w := wire{Text: f.Text, Hint: f.Hint, Exit: f.Exit}
	for _, c := range classes {
		if c.is == f.Class {
			w.Class = c.name
		}
	}
	return json.Marshal(w)
}

// UnmarshalJSON gives a class that is not known no meaning.
func (f *Fault) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*f = Fault{Text: w.Text, Hint: w.Hint, Exit: w.Exit}
	for _, c := range classes {
		if c.name == w.Class {
			f.Class = c.is
		}
	}
	return nil
}
