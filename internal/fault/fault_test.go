package fault_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/fault"
)

func TestClassIsNoPartOfTheText(t *testing.T) {
	inner := fault.New(errdefs.ErrNotFound, "no %s", "image")
	err := fault.New(errdefs.ErrFailedPrecondition, "cannot start: %w", errors.Join(inner, fs.ErrPermission))
	if want := "cannot start: no image\npermission denied"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if !errdefs.IsFailedPrecondition(err) || !errdefs.IsNotFound(err) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v lost a class", err)
	}
	if got := errdefs.Resolve(err); got != errdefs.ErrFailedPrecondition {
		t.Errorf("the class is %v, want the one stated last", got)
	}
}
