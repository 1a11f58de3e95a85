package fault

import (
	"context"
	"encoding/json"

	"github.com/containerd/errdefs"
)

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
