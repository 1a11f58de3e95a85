package netstack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// Of a folder that cannot be read nobody knows what it holds: what is not found elsewhere may be there.
func TestAFolderOfNetworksThatCannotBeReadIsNotEmpty(t *testing.T) {
	dir := t.TempDir()
	broken, good := filepath.Join(dir, "broken"), filepath.Join(dir, "good")
	must(t, os.WriteFile(broken, nil, 0o600))
	must(t, os.Mkdir(good, 0o700))
	must(t, os.WriteFile(filepath.Join(good, "50-hand.conflist"), []byte(`{"cniVersion": "1.0.0", "name": "hand", "plugins": [{"type": "bridge"}]}`), 0o600))
	s := Open(Config{RootID: "0a1b2c3d", Data: dir, Run: dir, Host: Host{ConfDirs: []string{broken, good}}})
	_, err := s.Network("hand")
	must(t, err)
	_, err = s.conflists.loadList("hand")
	must(t, err)
	all, failed := s.AllNetworks()
	if _, ok := all["hand"]; !ok {
		t.Error("what can be read is not listed")
	}
	_, unknown := s.Network("other")
	_, unlisted := s.conflists.loadList("other")
	for _, err := range []error{failed, unknown, unlisted} {
		if err == nil || errdefs.IsNotFound(err) || !strings.Contains(err.Error(), broken) {
			t.Errorf("it says %v", err)
		}
	}
	var found findings
	if s.damaged(&found, nil); len(found) != 1 || !strings.Contains(found[0].Detail, broken) {
		t.Errorf("Check finds %v", found)
	}
	s.confDirs = []string{filepath.Join(dir, "none"), good}
	if _, err := s.Network("other"); !errdefs.IsNotFound(err) {
		t.Errorf("of a folder that is not there it says %v", err)
	}
}
