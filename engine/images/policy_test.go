package images

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"go.podman.io/image/v5/types"
)

// A host without any policy accepts every image, as docker does; a policy that cannot be read is never a reason to.
func TestWithoutAPolicyEverythingIsAccepted(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	s := &copier{sys: &types.SystemContext{RootForImplicitAbsolutePaths: t.TempDir()}}
	if _, err := s.policy(); err != nil {
		t.Error(err)
	}
	s.sys.SignaturePolicyPath = filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(s.sys.SignaturePolicyPath, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.policy(); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a malformed policy: %v", err)
	}
}
