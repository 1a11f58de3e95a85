package translate

import (
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"podc.example/podc/api"
	"podc.example/podc/project"
	"podc.example/podc/secrets"
)

// TestExternal: what the data root keeps is served as if it stood in the compose file, and a change of it is a change of the
// service.
func TestExternal(t *testing.T) {
	root := t.TempDir()
	result := func() *Result {
		t.Helper()
		_, p, opt, err := load(t, &txtar.Archive{Files: []txtar.File{{Name: "compose.yaml", Data: []byte(
			"services: {web: {image: x, secrets: [s], configs: [c]}}\nsecrets: {s: {external: true, name: key}}\nconfigs: {c: {external: true}}\n")}}})
		if err != nil {
			t.Fatal(err)
		}
		opt.Store = root
		res, err := Translate(p, opt)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	store := secrets.Open(root, secrets.Secret)
	create := func(s *secrets.Store, name, content string) {
		t.Helper()
		if _, err := s.Create(t.Context(), api.Object{Name: name, Data: []byte(content)}); err != nil {
			t.Fatal(err)
		}
	}
	create(store, "key", "canary")
	create(secrets.Open(root, secrets.Config), "c", "config")
	res := result()
	for target, want := range map[string]string{"/run/secrets/s": "canary", "/c": "config"} {
		if got := string(res.Contents[project.ContentKey("web", target)]); got != want {
			t.Errorf("%s holds %q", target, got)
		}
	}
	if !slices.Contains(res.Inputs, store.Path("key")) {
		t.Errorf("a change would not be seen: %q", res.Inputs)
	}
	if err := store.Remove(t.Context(), "key"); err != nil {
		t.Fatal(err)
	}
	create(store, "key", "another")
	if result().Desired.Services[0].Hash == res.Desired.Services[0].Hash {
		t.Error("another content is the same service")
	}
}
