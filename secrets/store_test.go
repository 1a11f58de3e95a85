package secrets

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

func TestStore(t *testing.T) {
	s := Open(t.TempDir(), Secret)
	if list, err := s.List(); err != nil || len(list) > 0 {
		t.Fatalf("an empty store has %v, %v", list, err)
	}
	made, err := s.Create(t.Context(), api.Object{Name: "key", Data: []byte("canary"), Labels: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"key", made.ID} {
		if o, err := s.Get(ref); err != nil || string(o.Data) != "canary" || o.Labels["a"] != "b" {
			t.Errorf("%s: %+v, %v", ref, o, err)
		}
	}
	if _, err := s.Create(t.Context(), api.Object{Name: "key", Data: []byte("x")}); !errdefs.IsAlreadyExists(err) {
		t.Errorf("a second one of that name: %v", err)
	}
	for _, path := range []string{s.dir, s.Path("key")} {
		if fi, err := os.Stat(path); err != nil || fi.Mode()&0o077 != 0 {
			t.Errorf("others may read %s: %v, %v", path, fi.Mode(), err)
		}
	}
	if _, err := Open(t.TempDir(), Secret).Get("key"); !errdefs.IsNotFound(err) {
		t.Errorf("another root: %v", err)
	}
	if err := s.Remove(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("key"); !errdefs.IsNotFound(err) {
		t.Errorf("after its removal: %v", err)
	}
	if err := s.Remove(t.Context(), "key"); !errdefs.IsNotFound(err) {
		t.Errorf("a second removal: %v", err)
	}
}

func TestNamesAndSizesAreChecked(t *testing.T) {
	s := Open(t.TempDir(), Config)
	for _, name := range []string{"", ".", "..", "a/b", "../x", "-a", "a-", ".a", "a b", strings.Repeat("a", 65), "a\n"} {
		if _, err := s.Create(t.Context(), api.Object{Name: name, Data: []byte("x")}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("name %q: %v", name, err)
		}
		if _, err := s.Get(name); !errdefs.IsNotFound(err) {
			t.Errorf("look-up of %q: %v", name, err)
		}
	}
	for _, key := range []string{"", "a\nb", "\x1b"} {
		if _, err := s.Create(t.Context(), api.Object{Name: "a", Data: []byte("x"), Labels: map[string]string{key: ""}}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("label %q: %v", key, err)
		}
	}
	for _, size := range []int{0, Config.Limit + 1} {
		if _, err := s.Create(t.Context(), api.Object{Name: "a", Data: make([]byte, size)}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := s.Create(t.Context(), api.Object{Name: strings.Repeat("a", 64), Data: make([]byte, Config.Limit)}); err != nil {
		t.Error(err)
	}
}

func TestOfManyOneIsFirst(t *testing.T) {
	root := t.TempDir()
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = Open(root, Secret).Create(t.Context(), api.Object{Name: "one", Data: []byte{byte(i)}})
		})
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if !errdefs.IsAlreadyExists(err) {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("%d were made", made)
	}
}

func TestADamagedOneCanBeRemoved(t *testing.T) {
	s := Open(t.TempDir(), Secret)
	for _, name := range []string{"bad", "good"} {
		if _, err := s.Create(t.Context(), api.Object{Name: name, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(s.Path("bad"), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("bad"); !errors.Is(err, disk.ErrDamaged) {
		t.Errorf("%v", err)
	}
	if list, err := s.List(); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if err := s.Remove(t.Context(), "bad"); err != nil {
		t.Error(err)
	}
}
