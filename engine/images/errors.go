package images

import "fmt"

// fault is an error of a class that the caller can ask for (containerd/errdefs), with a text for people that does not name
// the class.
type fault struct {
	error
	class error
}

func (f fault) Unwrap() []error { return []error{f.error, f.class} }

// failed is fmt.Errorf for an error of a class.
func failed(class error, format string, args ...any) error {
	return fault{fmt.Errorf(format, args...), class}
}
