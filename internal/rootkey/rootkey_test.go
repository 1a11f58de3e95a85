package rootkey

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestKeyIsMadeOnce(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	type result struct {
		key   []byte
		saved bool
		err   error
	}
	results := make(chan result)
	for range 8 {
		go func() {
			k, saved, err := Of(root)
			results <- result{k, saved, err}
		}()
	}
	first := <-results
	for range 7 {
		r := <-results
		if r.err != nil || !r.saved || !slices.Equal(r.key, first.key) {
			t.Errorf("%v", r)
		}
	}
	if err := os.WriteFile(Path(root), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, saved, err := Of(root)
	if err != nil || !saved || slices.Equal(again, first.key) || len(again) != Size {
		t.Errorf("a damaged key: %v %v", saved, err)
	}
}
