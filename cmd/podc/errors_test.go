package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/engine"
	"podc.example/podc/internal/fault"
)

// What a repair mends is told from what it cannot: of a damaged image store podc-image says what to do.
func TestHints(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fault.New(errdefs.ErrDataLoss, "damaged"), "podc system check --repair"},
		{fmt.Errorf("up: %w", &engine.ImageError{Class: "data_loss", Message: "damaged: move the file away"}), ""},
		{fmt.Errorf("up: %w", &engine.ImageError{Class: "unavailable", Message: "no route", Hint: "check the network"}), "check the network"},
		{withHint(errors.New("no"), "do %s", "so"), "do so"},
		{errors.New("no"), ""},
	} {
		if got := hintOf(tt.err); got != tt.want {
			t.Errorf("of %q: %q, want %q", tt.err, got, tt.want)
		}
	}
}
