package project

import "fmt"

// fault is an error for people; its class, one of errdefs, is for programs and not part of the text.
type fault struct {
	text  string
	class error
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.class }

func faultf(class error, format string, args ...any) error {
	return &fault{fmt.Sprintf(format, args...), class}
}
