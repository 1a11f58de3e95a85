package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What cannot be read is not empty: neither lists nor the check say that nothing is there.
func TestAFolderThatCannotBeReadIsNotEmpty(t *testing.T) {
	e, err := Open(Config{Root: filepath.Join(t.TempDir(), "data"), RunRoot: filepath.Join(t.TempDir(), "run"), Helpers: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if pods, err := e.Pods(""); err != nil || len(pods) > 0 {
		t.Errorf("of a root that is not there: %v %v", pods, err)
	}
	if err = os.MkdirAll(e.paths.data, 0o700); err == nil {
		err = os.WriteFile(e.paths.pods(), nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func() error{
		"pods":     func() error { _, err := e.Pods(""); return err },
		"snapshot": func() error { _, err := e.Snapshot(t.Context(), "g"); return err },
		"check":    func() error { _, err := e.Checker().findings(true); return err },
	} {
		if err := ask(); err == nil || !strings.Contains(err.Error(), e.paths.pods()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
