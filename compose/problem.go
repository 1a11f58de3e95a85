package compose

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/fault"
)

// Problem is one thing wrong with a compose project, said so that its author finds the place.
type Problem struct {
	File string // as the user would name it; empty if no file is to blame
	Line int    // 0 if unknown
	Key  string // key path such as "services.web.ports[0]"; empty if no key is to blame
	Text string
	Hint string // what to do about it; may be empty
}

func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(abridge(p.Key) + ": ")
	}
	return b.String() + abridge(p.Text)
}

// Error is why a compose project was refused: one or more problems, all of one class.
type Error struct {
	Class    error // of containerd/errdefs: ErrInvalidArgument, ErrNotFound or ErrNotImplemented
	Problems []Problem
}

// Error has one line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap is what programs need to know of e.
func (e *Error) Unwrap() error {
	return &fault.Fault{Class: e.Class, Text: e.Error(), Hint: e.hint()}
}

// hint joins the distinct hints of all problems.
func (e *Error) hint() string {
	var hints []string
	for _, p := range e.Problems {
		if p.Hint != "" && !strings.Contains(strings.Join(hints, "\n"), p.Hint) {
			hints = append(hints, p.Hint)
		}
	}
	return strings.Join(hints, "; ")
}

// Invalid is an error about the value of one key.
func Invalid(key, format string, args ...any) *Error {
	return &Error{Class: errdefs.ErrInvalidArgument, Problems: []Problem{{Key: key, Text: fmt.Sprintf(format, args...)}}}
}

// NotServed refuses a key, or one value of it, that means something but is not implemented yet.
func NotServed(key, what, hint string) *Error {
	if what != "" {
		what += ": "
	}
	return &Error{Class: errdefs.ErrNotImplemented, Problems: []Problem{{Key: key, Text: what + "not served yet by this version of podc", Hint: hint}}}
}

// WithHint adds a hint to the only problem of e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Problems[0].Hint = fmt.Sprintf(format, args...)
	return e
}

// Join makes one error of many; nil entries are left out, and nil is returned if nothing remains. The class is that of the
// first error. Errors that are no *Error keep their text.
func Join(errs ...error) error {
	var all *Error
	for _, err := range errs {
		if err == nil {
			continue
		}
		e := asError(err)
		if all == nil {
			all = &Error{Class: e.Class}
		}
		all.Problems = append(all.Problems, e.Problems...)
	}
	if all == nil {
		return nil
	}
	return all
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Class: errdefs.ErrInvalidArgument, Problems: []Problem{{Text: err.Error()}}}
}
