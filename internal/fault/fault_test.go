package fault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

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

func TestHintsAndExitCodes(t *testing.T) {
	plain := errors.New("no")
	hinted := fault.Hint(plain, "do %s", "so")
	for name, tt := range map[string]struct {
		err    error
		hint   string
		exit   int
		silent bool
	}{
		"nothing wrong":           {nil, "", 0, false},
		"a plain error":           {plain, "", 1, false},
		"a class alone":           {fault.New(errdefs.ErrDataLoss, "damaged"), "", 1, false},
		"a hint":                  {hinted, "do so", 1, false},
		"a wrapped hint":          {fault.New(errdefs.ErrConflict, "up: %w", hinted), "do so", 1, false},
		"the hint stated last":    {fault.Hint(hinted, "do that"), "do that", 1, false},
		"a hint and a code":       {fmt.Errorf("up: %w", fault.Exit(hinted, 127)), "do so", 127, false},
		"the code stated last":    {fault.Exit(fault.Exit(plain, 126), 125), "", 125, false},
		"a second of two":         {errors.Join(fault.New(errdefs.ErrConflict, "x"), errors.Join(plain, hinted)), "do so", 1, false},
		"a code and nothing more": {fault.Silent(7), "", 7, true},
		"a silent one of two":     {errors.Join(plain, fault.Silent(3)), "", 3, true},
	} {
		if hint, exit, silent := fault.HintOf(tt.err), fault.ExitOf(tt.err), fault.IsSilent(tt.err); hint != tt.hint || exit != tt.exit || silent != tt.silent {
			t.Errorf("%s: hint %q, exit %d, silent %t", name, hint, exit, silent)
		}
		if there := fault.Of(tt.err); tt.err != nil && (fault.HintOf(there) != tt.hint || fault.ExitOf(there) != tt.exit || fault.IsSilent(there) != tt.silent) {
			t.Errorf("%s: elsewhere it is %#v", name, there)
		}
	}
	if err := fault.Exit(plain, 3); !errors.Is(err, plain) || err.Error() != "no" {
		t.Errorf("%v", err)
	}
}

// known are all classes that an error can resolve to.
func known() []error {
	return []error{errdefs.ErrInvalidArgument, errdefs.ErrNotFound, errdefs.ErrAlreadyExists, errdefs.ErrPermissionDenied,
		errdefs.ErrResourceExhausted, errdefs.ErrFailedPrecondition, errdefs.ErrConflict, errdefs.ErrNotModified, errdefs.ErrAborted,
		errdefs.ErrOutOfRange, errdefs.ErrNotImplemented, errdefs.ErrInternal, errdefs.ErrUnavailable, errdefs.ErrDataLoss,
		errdefs.ErrUnauthenticated, context.Canceled, context.DeadlineExceeded, nil}
}

// FuzzFault: what was encoded is decoded as it was, and its class is found there as here.
func FuzzFault(f *testing.F) {
	for i := range known() {
		f.Add(i, "cannot start \"web\":\n  no", "do <so> & so", i)
	}
	f.Fuzz(func(t *testing.T, class int, text, hint string, exit int) {
		if !utf8.ValidString(text+hint) || class < 0 || class >= len(known()) {
			t.Skip()
		}
		want := &fault.Fault{Class: known()[class], Text: text, Hint: hint, Exit: exit}
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got *fault.Fault
		if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %#v, want %#v; %v", b, got, want, err)
		}
		if text != "" && !strings.HasPrefix(fmt.Sprint(fmt.Errorf("%w: more", got)), text) {
			t.Errorf("%v lost its text", got)
		}
		wrapped := fmt.Errorf("more: %w", &fault.Fault{Class: want.Class, Text: text + "x", Hint: hint, Exit: exit, Err: fs.ErrPermission})
		if got := fault.Of(wrapped); got.Class != want.Class || got.Text != wrapped.Error() || got.Hint != hint || got.Exit != exit {
			t.Errorf("%#v", got)
		}
	})
}
