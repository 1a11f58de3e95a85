package images

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"go.podman.io/storage/pkg/reexec"

	"podc.example/podc/api"
)

func TestMain(m *testing.M) {
	if reexec.Init() {
		return
	}
	os.Exit(m.Run())
}

// open makes a store in a temporary root.
func open(t *testing.T) *Store {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("an image store needs root")
	}
	dir := t.TempDir()
	s, err := Open(Config{Root: filepath.Join(dir, "root"), RunRoot: filepath.Join(dir, "run"), Private: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// build makes an image with one layer for each text, each holding a file of that name.
func build(t *testing.T, config v1.Config, platform string, texts ...string) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: platform, Config: config,
		Created: v1.Time{Time: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)},
	})
	for _, text := range texts {
		if err == nil {
			img, err = mutate.AppendLayers(img, layerOf(t, text))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func layerOf(t *testing.T, text string) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: text, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// archiveOf writes a docker-archive of the images by name.
func archiveOf(t *testing.T, images map[string]v1.Image) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "images.tar")
	refs := map[name.Reference]v1.Image{}
	for ref, img := range images {
		tag, err := name.ParseReference(ref)
		if err != nil {
			t.Fatal(err)
		}
		refs[tag] = img
	}
	if err := tarball.MultiRefWriteToFile(path, refs); err != nil {
		t.Fatal(err)
	}
	return path
}

// load loads the archive at path and collects the events.
func load(t *testing.T, s *Store, path string) ([]api.ImageSummary, []api.Progress, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var events []api.Progress
	sums, err := s.Load(t.Context(), f, path, func(e api.Progress) { events = append(events, e) })
	return sums, events, err
}

// have loads one image under the name ref and returns its ID.
func have(t *testing.T, s *Store, ref string, img v1.Image) string {
	t.Helper()
	sums, _, err := load(t, s, archiveOf(t, map[string]v1.Image{ref: img}))
	if err != nil {
		t.Fatal(err)
	}
	return sums[0].ID
}
