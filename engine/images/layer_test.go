package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.podman.io/storage"

	"podc.example/podc/internal/podcimage"
)

// layerTar is a layer of empty files and, where a name has an arrow, links.
func layerTar(t *testing.T, names ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range names {
		h := &tar.Header{Typeflag: tar.TypeReg, Mode: 0o644}
		var link, hard bool
		if h.Name, h.Linkname, link = strings.Cut(name, " -> "); link {
			h.Typeflag = tar.TypeSymlink
		} else if h.Name, h.Linkname, hard = strings.Cut(name, " = "); hard {
			h.Typeflag = tar.TypeLink
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func deep(n int) string { return strings.Repeat("p/", n) }

// hostileLayers cost the store time that grows with the square of their depth, or memory: each with what is said of it.
var hostileLayers = map[string]struct {
	names []string
	text  string
}{
	"deep":                     {[]string{deep(2000) + "x"}, "more than 100 folders deep"},
	"one too deep":             {[]string{deep(101) + "x"}, "more than 100 folders deep"},
	"deep through links":       {[]string{deep(60) + "x", "l -> " + deep(60), "l/" + deep(60) + "x"}, "more than 100 folders deep"},
	"through a link made late": {[]string{"l -> a/b", "a -> " + deep(99), "l/x"}, "more than 100 folders deep"},
	"through a hard link":      {[]string{"l -> " + deep(60), "h = l", "h/" + deep(60) + "x"}, "more than 100 folders deep"},
	"through another name":     {[]string{"d -> e", "d/l -> /" + deep(60), "e/l/" + deep(60) + "x"}, "more than 100 folders deep"},
	"through itself":           {[]string{"l -> l", "l/x"}, "more than 100 folders deep"},
	"growing through itself":   {[]string{"l -> l/" + strings.Repeat("/", 4000), "l/x"}, "4095"},
	"a long name":              {[]string{strings.Repeat("n", 256)}, "more than 255 bytes"},
	"a long path":              {[]string{strings.Repeat(strings.Repeat("n", 250)+"/", 17) + "x"}, "longer than 4095 bytes"},
	"a link to a long path":    {[]string{"l -> " + strings.Repeat("../", 1400)}, "longer than 4095 bytes"},
}

func TestHostileLayersAreRefused(t *testing.T) {
	for what, c := range hostileLayers {
		if _, err := io.Copy(io.Discard, newLayerCheck(bytes.NewReader(layerTar(t, c.names...)))); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestTheStoreTakesNoHostileLayer, whichever way it comes, and nothing is left of it.
func TestTheStoreTakesNoHostileLayer(t *testing.T) {
	s := open(t)
	base := have(t, s, "base", build(t, v1.Config{}, runtime.GOARCH, "base"))
	layer := layerTar(t, "a", deep(101)+"x", "b")
	_, _, loaded := load(t, s, archiveOf(t, map[string]v1.Image{"bad": imageOf(t, layer)}))
	_, committed := s.Commit(t.Context(), podcimage.CommitRequest{Image: base}, bytes.NewReader(layer))
	layer = compressed(t, layer, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	_, zipped := s.Commit(t.Context(), podcimage.CommitRequest{Image: base}, bytes.NewReader(layer))
	for what, err := range map[string]error{"loaded": loaded, "committed": committed, "compressed": zipped} {
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "100 folders deep") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if snap, err := s.snapshot(); err != nil || len(snap.layers) != 1 {
		t.Errorf("left are %d layers, %v", len(snap.layers), err)
	}
}

// TestHonestLayersAreTaken: what is checked of layers is far beyond what images have.
func TestHonestLayersAreTaken(t *testing.T) {
	names := []string{deep(100) + "x", "usr/bin -> ../bin", "lib -> usr/lib", "lib/x", "l -> l", "no -> /nothing/there", "h = lib/x", "a -> " + deep(90), "b -> a", "b/x"}
	for i := range 40_000 {
		names = append(names, fmt.Sprint(deep(20), i, "/file"))
	}
	layer := append(layerTar(t, names...), "what follows"...)
	passed, err := io.ReadAll(newLayerCheck(bytes.NewReader(layer)))
	if err != nil || !bytes.Equal(passed, layer) {
		t.Errorf("%d of %d bytes, %v", len(passed), len(layer), err)
	}
	s := open(t)
	if _, _, err := load(t, s, archiveOf(t, map[string]v1.Image{"good": imageOf(t, layerTar(t, names[:20]...), nil)})); err != nil {
		t.Error(err)
	}
}

// TestNamesOfALayerAreBounded: the store keeps them all in memory.
func TestNamesOfALayerAreBounded(t *testing.T) {
	p := layerPaths{names: maxNames - 1000}
	for i := range 20 {
		if err := p.add(&tar.Header{Name: fmt.Sprint(i)}); err != nil {
			if !strings.Contains(err.Error(), "256 MiB") || i < 10 {
				t.Error(i, err)
			}
			return
		}
	}
	t.Error("there is no bound")
}

func imageOf(t *testing.T, layers ...[]byte) v1.Image {
	t.Helper()
	var all []v1.Layer
	for _, layer := range layers {
		all = append(all, static.NewLayer(layer, types.DockerUncompressedLayer))
	}
	img, err := mutate.AppendLayers(build(t, v1.Config{}, runtime.GOARCH), all...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestTooManyLayersAreRefused: of an image in an archive or a registry before any of it is fetched, and on top of one that is here.
func TestTooManyLayersAreRefused(t *testing.T) {
	s := open(t)
	var layers [][]byte
	for i := range maxLayers + 1 {
		layers = append(layers, layerTar(t, fmt.Sprint(i)))
	}
	img := imageOf(t, layers...)
	var blobs atomic.Int64
	serve := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			blobs.Add(1)
		}
		serve.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ref := strings.TrimPrefix(srv.URL, "http://") + "/shop/web:1"
	if err := crane.Push(img, ref); err != nil {
		t.Fatal(err)
	}
	_, pulled := s.Pull(t.Context(), ref, Missing, nil)
	_, _, loaded := load(t, s, archiveOf(t, map[string]v1.Image{"bad": img}))
	if n := blobs.Load(); n > 0 {
		t.Errorf("%d blobs were fetched", n)
	}
	if snap, err := s.snapshot(); err != nil || len(snap.layers) != 0 {
		t.Errorf("left are %d layers, %v", len(snap.layers), err)
	}
	_, _, put := checkedStore{chain{}}.PutLayer("", fmt.Sprint(maxLayers), nil, "", false, nil, bytes.NewReader(layers[0]))
	for what, err := range map[string]error{"pulled": pulled, "loaded": loaded, "put on top": put} {
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "has 128 layers, and 127 are the most") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// chain is a store in which each layer lies upon that of the number before.
type chain struct{ storage.Store }

func (chain) Layer(id string) (*storage.Layer, error) {
	if id == "1" {
		return &storage.Layer{ID: id}, nil
	}
	n, err := strconv.Atoi(id)
	return &storage.Layer{ID: id, Parent: strconv.Itoa(n - 1)}, err
}

// TestTheStoreSeesWhatALayerIs, but for a bad header: what is no tar stream is for the store to refuse, in the way it always did.
func TestTheStoreSeesWhatALayerIs(t *testing.T) {
	good := layerTar(t, "a", "b")
	long := layerTar(t, strings.Repeat(strings.Repeat("n", 200)+"/", 15)+"x") // three blocks and more
	for what, layer := range map[string][]byte{
		"nothing": nil, "no tar": []byte(strings.Repeat("x", 5000)), "zeros": make([]byte, 5000), "cut off": good[:700], "cut off in long names": long[:1000],
		"something between": slices.Concat(good[:512], make([]byte, 512), good[512:]),
	} {
		if passed, err := io.ReadAll(newLayerCheck(bytes.NewReader(layer))); err != nil || !bytes.Equal(passed, layer) {
			t.Errorf("%s: %d of %d bytes, %v", what, len(passed), len(layer), err)
		}
	}
	if passed, err := io.ReadAll(newLayerCheck(bytes.NewReader(layerTar(t, "a", deep(101)+"x")))); err == nil || len(passed) != 512 {
		t.Errorf("a bad header: %d bytes, %v", len(passed), err)
	}
	names := bytes.Repeat(long[:len(long)-1024-512], 2048) // and never the header that they belong to
	if n, err := io.Copy(io.Discard, newLayerCheck(bytes.NewReader(names))); err == nil || !strings.Contains(err.Error(), "4 MiB") {
		t.Errorf("headers without end: %d bytes, %v", n, err)
	}
}
