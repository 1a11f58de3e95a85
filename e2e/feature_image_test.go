package e2e

import (
	"archive/tar"
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"podc.example/podc/internal/testimage"
)

// imageFile is one file of an image's layer. A name that ends in a slash is a folder; "name->target" is a link.
type imageFile struct {
	name string
	mode int64
	uid  int
	body string
}

// derived is busybox with files on top and a configuration of its own.
func derived(t *testing.T, config v1.Config, files ...imageFile) v1.Image {
	t.Helper()
	base, err := testimage.Build(t.Context(), testimage.Busybox)
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	content := layerOf(t, files)
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err == nil {
		img, err = mutate.AppendLayers(img, l)
	}
	if err == nil {
		config.Env = append(config.Env, "PATH=/usr/bin")
		img, err = mutate.Config(img, config)
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func layerOf(t *testing.T, files []imageFile) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := tar.Header{Name: f.name, Mode: f.mode, Uid: f.uid, Gid: f.uid, Size: int64(len(f.body)), Typeflag: tar.TypeReg}
		if f.name[len(f.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if link, target, ok := strings.Cut(f.name, "->"); ok {
			h.Name, h.Linkname, h.Typeflag = link, target, tar.TypeSymlink
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// loadImage loads an image under a name into the stack's store.
func (s *stack) loadImage(ref string, img v1.Image) {
	s.t.Helper()
	s.podc("load", "-q", "-i", dockerArchive(s.t, ref, img))
}

// dockerArchive writes a docker-archive.
func dockerArchive(t *testing.T, ref string, img v1.Image) string {
	t.Helper()
	tag, err := name.NewTag(ref, name.WithDefaultRegistry(""))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
	return path
}

// An image may be named by its whole id, alone or as a digest; it is never looked for elsewhere.
func TestAnImageByItsID(t *testing.T) {
	s := newStack(t, "services: {}")
	s.load("busybox")
	id := strings.TrimPrefix(strings.TrimSpace(s.podc("image", "inspect", "-f", "{{.Id}}", "localhost/podc-busybox")), "sha256:")
	s.write("compose.yaml", `
services:
  bare: {image: `+id+`, command: sleep 1000, stop_signal: SIGKILL}
  digest: {image: 'sha256:`+id+`', command: sleep 1000, stop_signal: SIGKILL}
`)
	s.podc("up", "-d", "--pull", "never")
	for _, name := range []string{"p-bare-1", "p-digest-1"} {
		if got := strings.TrimSpace(s.podc("container", "inspect", "-f", "{{.Image}}", name)); got != "sha256:"+id {
			t.Errorf("%s is of image %s, want %s", name, got, id)
		}
	}
	if plan := s.plan(); len(plan) != 0 {
		t.Errorf("up would go on: %v", plan)
	}
	s.write("compose.yaml", "services: {none: {image: "+strings.Repeat("ab", 32)+"}}")
	if out := s.fails(1, "up", "-d"); !strings.Contains(out, strings.Repeat("ab", 32)) || strings.Contains(out, "docker.io") {
		t.Errorf("of an id that nothing has: %s", out)
	}
}
