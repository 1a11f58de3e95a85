package translate

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"podc.example/podc/compose"
)

// FuzzTranslate: whatever the compose file, no panic, and the same answer twice.
func FuzzTranslate(f *testing.F) {
	for _, name := range []string{"stack", "container", "scale", "external-network"} {
		a, err := txtar.ParseFile("testdata/" + name + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, yaml []byte) {
		first, second := attempt(t, dir, yaml), attempt(t, dir, yaml)
		if !bytes.Equal(first, second) {
			t.Errorf("two answers:\n%s\n%s", first, second)
		}
	})
}

func attempt(t *testing.T, dir string, yaml []byte) []byte {
	p, err := compose.Load(context.Background(), compose.Options{
		WorkingDir: dir, Files: []string{"-"}, Stdin: yaml, ProjectName: "p", Environment: map[string]string{"PW": "x"},
	})
	if err != nil {
		return []byte("refused") // of several faults, the loader tells any
	}
	res, err := Translate(p, Options{Key: []byte("k")})
	if err != nil {
		return []byte(err.Error())
	}
	b, err := json.Marshal(res.Desired)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
