package images

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/podcimage"
)

func TestNormalize(t *testing.T) {
	const d = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for ref, want := range map[string]string{
		"web": "docker.io/library/web:latest", "shop/web:1": "docker.io/shop/web:1", "localhost/web": "localhost/web:latest",
		"127.0.0.1:5000/web": "127.0.0.1:5000/web:latest", "web:1@" + d: "docker.io/library/web@" + d, "Web": "", "": "", "a b": "",
	} {
		got, err := Normalize(ref)
		if want == "" {
			if !errdefs.IsInvalidArgument(err) {
				t.Errorf("%q: %v %v", ref, got, err)
			}
		} else if err != nil || got.String() != want {
			t.Errorf("%q: %v %v", ref, got, err)
		}
	}
}

func TestResolve(t *testing.T) {
	s := open(t)
	id := have(t, s, "localhost/web:latest", build(t, v1.Config{Cmd: []string{"run"}}, runtime.GOARCH, "bottom", "top"))
	have(t, s, "foreign", build(t, v1.Config{}, "s390x", "foreign"))
	refs := []string{"localhost/web", "web", id, id[:12], "sha256:" + id, "foreign", "nothing", "beef"}
	got, err := s.Resolve(t.Context(), refs, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs[:5] {
		if got.Images[ref].ID != id {
			t.Errorf("%q is %+v", ref, got.Images[ref])
		}
	}
	if want := []string{"foreign", "nothing", "beef"}; !slices.Equal(got.Missing, want) || !strings.Contains(got.Why["foreign"], "s390x") {
		t.Errorf("missing %v %v", got.Missing, got.Why)
	}
	img := got.Images["web"]
	for i, file := range []string{"top", "bottom"} {
		if _, err := os.Stat(filepath.Join(img.Layers[i], file)); err != nil {
			t.Error(err)
		}
	}
	if img.Config.Cmd[0] != "run" || img.Size == 0 {
		t.Errorf("%+v", img)
	}
	if _, err := s.Resolve(t.Context(), []string{"No Good"}, ""); !errdefs.IsInvalidArgument(err) {
		t.Error(err)
	}
}

// TestInputs: the reply vouches for itself until the store changes.
func TestInputs(t *testing.T) {
	s := open(t)
	have(t, s, "web", build(t, v1.Config{}, runtime.GOARCH, "web"))
	fresh := func(r *podcimage.ResolveReply) bool {
		return !slices.ContainsFunc(r.Inputs, func(in disk.Stamp) bool { return !in.Fresh() })
	}
	got, err := s.Resolve(t.Context(), []string{"web"}, "g")
	if err != nil || !fresh(got) {
		t.Fatal(got, err)
	}
	again, err := s.Resolve(t.Context(), []string{"web"}, "g")
	if err != nil || !fresh(got) || !slices.Equal(again.Inputs, got.Inputs) {
		t.Error("resolving again changes the store")
	}
	if _, err := s.Tag("web", "web:2"); err != nil || fresh(got) {
		t.Errorf("a new tag is not seen: %v", err)
	}
}

func TestDamaged(t *testing.T) {
	s := open(t)
	id := have(t, s, "web", build(t, v1.Config{}, runtime.GOARCH, "web"))
	img, err := s.Resolve(t.Context(), []string{"web"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]func(){
		"layer":  func() { os.RemoveAll(img.Images["web"].Layers[0]) },
		"config": func() { overwrite(t, filepath.Join(s.store.GraphRoot(), "overlay-images", id)) },
	} {
		damage()
		if _, err = s.Resolve(t.Context(), []string{"web"}, ""); !errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "podc image rm") {
			t.Errorf("%s: %v", what, err)
		}
		check, err := s.Check(false, false)
		if err != nil || len(check.Problems) == 0 {
			t.Errorf("%s: check finds %+v %v", what, check, err)
		}
		if _, err := s.Remove("web", true); err != nil {
			t.Errorf("%s: cannot be removed: %v", what, err)
		}
		have(t, s, "web", build(t, v1.Config{}, runtime.GOARCH, "web"))
		if img, err = s.Resolve(t.Context(), []string{"web"}, ""); err != nil {
			t.Errorf("%s: not repaired by loading again: %v", what, err)
		}
	}
}

// overwrite writes over every file of a folder.
func overwrite(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.Name()), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRemove(t *testing.T) {
	s := open(t)
	id := have(t, s, "web", build(t, v1.Config{}, runtime.GOARCH, "web"))
	if _, err := s.Tag("web", "web:2"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove(id[:12], false); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("an image with two names goes by its id: %v", err)
	}
	got, err := s.Remove("web:2", false)
	if err != nil || len(got.Deleted) != 0 || got.Untagged[0] != "docker.io/library/web:2" {
		t.Errorf("%+v %v", got, err)
	}
	if err := s.Pin(t.Context(), "shop", []string{id}); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"web", id} {
		if _, err := s.Remove(ref, true); !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "shop") {
			t.Errorf("rm --force of a pinned image: %v", err)
		}
	}
	if _, err := s.Unpin(t.Context(), "shop", nil); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Remove("web", false); err != nil || got.Deleted[0] != id {
		t.Errorf("%+v %v", got, err)
	}
	if _, err = s.Remove("web", true); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	if _, err := s.Tag("web", "x"); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
}

// TestPull pulls from a registry on loopback, in plain HTTP.
func TestPull(t *testing.T) {
	s := open(t)
	srv := httptest.NewServer(registry.New())
	defer srv.Close()
	ref := strings.TrimPrefix(srv.URL, "http://") + "/shop/web:1"
	if err := crane.Push(build(t, v1.Config{}, runtime.GOARCH, "web"), ref); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pull(t.Context(), ref, Never, nil); !errdefs.IsNotFound(err) {
		t.Errorf("never: %v", err)
	}
	var events []api.Progress
	got, err := s.Pull(t.Context(), ref, Missing, func(e api.Progress) { events = append(events, e) })
	if err != nil || got.Names[0] != ref {
		t.Fatal(got, err)
	}
	if len(events) < 3 || events[len(events)-1].Text != "Pulled" {
		t.Errorf("%+v", events)
	}
	snap, err := s.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	// The layer came compressed: it is known by that digest and size, so that it is not fetched again.
	for _, l := range snap.chain(snap.byID(got.ID)) {
		if l.CompressedDigest == l.UncompressedDigest || l.CompressedSize == 0 || l.CompressedSize >= l.UncompressedSize {
			t.Errorf("the layer is %+v", l)
		}
	}
	byDigest := strings.TrimSuffix(ref, ":1") + "@" + got.Digest
	for _, r := range []string{ref, byDigest} {
		if again, err := s.Pull(t.Context(), r, Never, nil); err != nil || again.ID != got.ID {
			t.Errorf("%s: %+v %v", r, again, err)
		}
	}
	if _, err := s.Pull(t.Context(), byDigest, Always, nil); err != nil {
		t.Error(err)
	}
	if _, err := s.Pull(t.Context(), ref+"-none", Missing, nil); !errdefs.IsNotFound(err) {
		t.Errorf("unknown tag: %v", err)
	}
	srv.Close()
	if _, err := s.Pull(t.Context(), ref, Missing, nil); err != nil {
		t.Errorf("what is here needs no registry: %v", err)
	}
	if _, err := s.Pull(t.Context(), ref, Always, nil); !errdefs.IsUnavailable(err) {
		t.Errorf("dead registry: %v", err)
	}
}

func TestPolicy(t *testing.T) {
	s := open(t)
	path := archiveOf(t, map[string]v1.Image{"web": build(t, v1.Config{}, runtime.GOARCH, "web")})
	s.sys.SignaturePolicyPath = filepath.Join(t.TempDir(), "policy.json")
	if _, _, err := load(t, s, path); err != nil {
		t.Errorf("without a policy: %v", err)
	}
	for text, want := range map[string]string{
		`{"default": [`:                    "signature policy",
		`{"default": [{"type":"reject"}]}`: "rejected by policy",
	} {
		if err := os.WriteFile(s.sys.SignaturePolicyPath, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := load(t, s, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
