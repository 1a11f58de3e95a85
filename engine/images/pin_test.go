package images

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestPin(t *testing.T) {
	s := open(t)
	one := have(t, s, "one", build(t, v1.Config{}, runtime.GOARCH, "base", "one"))
	two := have(t, s, "two", build(t, v1.Config{}, runtime.GOARCH, "base", "two"))
	for range 2 { // it is idempotent
		if err := s.Pin(t.Context(), "a", []string{one, two}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Pin(t.Context(), "b", []string{one}); err != nil {
		t.Fatal(err)
	}
	if err := s.Pin(t.Context(), "b", []string{strings.Repeat("0", 64)}); !errdefs.IsNotFound(err) {
		t.Errorf("pin of nothing: %v", err)
	}
	if got := users(t, s, one); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("users of one: %v", got)
	}
	gone, err := s.Unpin(t.Context(), "a", []string{one})
	if err != nil || !slices.Equal(gone, []string{two}) {
		t.Errorf("unpin all but one: %v %v", gone, err)
	}
	if got := users(t, s, one); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("users of one: %v", got)
	}
	for _, group := range []string{"a", "b", "b"} {
		if _, err := s.Unpin(t.Context(), group, nil); err != nil {
			t.Error(err)
		}
	}
	snap, err := s.snapshot()
	if err != nil || len(snap.containers) != 0 || len(snap.layers) != 3 {
		t.Errorf("left: %+v, %d layers, %v", snap.containers, len(snap.layers), err)
	}
}

func users(t *testing.T, s *Store, id string) []string {
	t.Helper()
	sum, err := s.summaryOf(id)
	if err != nil {
		t.Fatal(err)
	}
	return sum.UsedBy
}

// TestPinTogether: many groups and processes pin and unpin the same images at once, and no holder is lost.
func TestPinTogether(t *testing.T) {
	s := open(t)
	id := have(t, s, "web", build(t, v1.Config{}, runtime.GOARCH, "web"))
	var wg sync.WaitGroup
	for _, group := range []string{"a", "b", "c", "d", "e", "f"} {
		wg.Go(func() {
			if _, err := s.Resolve(t.Context(), []string{"web"}, group); err != nil {
				t.Error(err)
			}
			if group < "d" {
				if _, err := s.Unpin(t.Context(), group, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := users(t, s, id); !slices.Equal(got, []string{"d", "e", "f"}) {
		t.Errorf("users: %v", got)
	}
}

// TestPodman: podman, sharing the store, removes neither a pin's image unasked nor, when asked, the layers of running pods.
func TestPodman(t *testing.T) {
	s := open(t)
	run := podman(t, s)
	img := build(t, v1.Config{}, runtime.GOARCH, "base", "web")
	for _, c := range []struct {
		args string
		goes bool // the image's record goes; its layers must not
	}{
		{"rmi localhost/web", false},
		{"image prune -a -f", false},
		{"system prune -a -f --volumes", false},
		{"container prune -f", false},
		{"rm -a -f", false},
		{"image prune -a -f --external", true},
		{"rmi -f localhost/web", true},
		{"rmi -a -f", true},
	} {
		id := have(t, s, "localhost/web", img)
		got, err := s.Resolve(t.Context(), []string{"localhost/web"}, "g")
		if err != nil {
			t.Fatal(err)
		}
		out := run(strings.Fields(c.args)...)
		for i, file := range []string{"web", "base"} {
			if _, err := os.Stat(filepath.Join(got.Images["localhost/web"].Layers[i], file)); err != nil {
				t.Errorf("podman %s deletes layers in use: %v\n%s", c.args, err, out)
			}
		}
		after, err := s.Resolve(t.Context(), []string{"localhost/web"}, "")
		if err != nil || (len(after.Missing) == 1) != c.goes {
			t.Errorf("podman %s: missing %v, %v\n%s", c.args, after.Missing, err, out)
		}
		if unpinned, err := s.Unpin(t.Context(), "g", nil); err != nil || !slices.Equal(unpinned, []string{id}) {
			t.Errorf("unpin after podman %s: %v %v", c.args, unpinned, err)
		}
		if snap, err := s.snapshot(); err != nil || c.goes && len(snap.layers) != 0 || len(snap.containers) != 0 {
			t.Errorf("after podman %s and unpin: %d layers, %d containers, %v", c.args, len(snap.layers), len(snap.containers), err)
		}
	}
	if _, err := s.Remove("localhost/web", true); err != nil && !errdefs.IsNotFound(err) {
		t.Error(err)
	}
}
