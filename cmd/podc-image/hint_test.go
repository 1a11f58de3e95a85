package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/fault"
)

// What to do follows from the class of an error, whatever its words.
func TestHintsFollowFromClasses(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fault.New(errdefs.ErrPermissionDenied, "cannot pull \"x\": access denied"), "log in"},
		{fault.New(errdefs.ErrPermissionDenied, "cannot resolve \"x\": access denied"), "log in"},
		{fault.New(errdefs.ErrUnauthenticated, "no"), "log in"},
		{fault.New(errdefs.ErrPermissionDenied, "cannot open the image store /pull: %w", os.ErrPermission), "as root"},
		{fmt.Errorf("cannot pull: %w", os.ErrPermission), "as root"},
		{fault.New(errdefs.ErrUnavailable, "no route"), "podc load"},
		{fault.New(errdefs.ErrNotFound, "unable to pull"), ""},
	} {
		if got := fault.HintOf(hinted(tt.err)); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("of %q: %q, want %q", tt.err, got, tt.want)
		}
	}
}
