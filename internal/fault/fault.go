// Package fault makes errors that have a class: one of containerd/errdefs, for programs, which stands beside the text for
// people and is no part of it.
package fault

import "fmt"

// New is fmt.Errorf for an error of class: errors.Is and errdefs' own questions find the class, and the text is that of format
// and args alone, which may wrap with %w.
func New(class error, format string, args ...any) error {
	return fault{fmt.Errorf(format, args...), class}
}

type fault struct {
	error
	class error
}

// Unwrap has the class first: errdefs.Resolve gives the class that was stated last.
func (f fault) Unwrap() []error { return []error{f.class, f.error} }
