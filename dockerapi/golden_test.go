package dockerapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"podc.example/podc/api"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenNow is the moment at which lists are made.
var goldenNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// facts are the input of a golden file, by what it is about.
type facts struct {
	Container *ContainerFacts
	Network   *api.Network
	Attached  []api.Attachment
	Volume    *api.Volume
	Image     *api.ImageDetails
}

// TestGolden compares the shapes of testdata/*.txtar: facts, then inspect, and of containers what lists show.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var f facts
	dec := json.NewDecoder(bytes.NewReader(a.Files[0].Data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		t.Fatal(err)
	}
	got := shapes(t, f)
	if *update {
		a.Files = append(a.Files[:1], got...)
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := txtar.Format(&txtar.Archive{Files: a.Files[1:]}); !bytes.Equal(want, txtar.Format(&txtar.Archive{Files: got})) {
		t.Errorf("shapes differ (-update, then look at the diff); got:\n%s", txtar.Format(&txtar.Archive{Files: got}))
	}
}

func shapes(t *testing.T, f facts) []txtar.File {
	switch {
	case f.Container != nil:
		f.Container.VolumePath = func(name string) string { return "/data/volumes/" + name + "/_data" }
		p := f.Container.Pod
		list := map[string]any{"Status": StatusText(p, goldenNow), "Ports": Ports(p), "PortList": PortList(p), "Networks": NetworksOf(p), "Mounts": MountSources(p)}
		return []txtar.File{indented(t, "inspect", InspectContainer(*f.Container)), indented(t, "list", list)}
	case f.Network != nil:
		return []txtar.File{indented(t, "inspect", InspectNetwork(*f.Network, f.Attached))}
	case f.Volume != nil:
		return []txtar.File{indented(t, "inspect", InspectVolume(*f.Volume, "/data/volumes/x/_data"))}
	case f.Image != nil:
		return []txtar.File{indented(t, "inspect", InspectImage(*f.Image)), indented(t, "history", HistoryOf(*f.Image))}
	}
	t.Fatal("facts about nothing")
	return nil
}

func indented(t *testing.T, name string, v any) txtar.File {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return txtar.File{Name: name, Data: append(b, '\n')}
}
