package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"podc.example/podc/internal/testimage"
)

func TestLoadSeveralImages(t *testing.T) {
	s := open(t)
	web, db := build(t, v1.Config{}, runtime.GOARCH, "base", "web"), build(t, v1.Config{}, runtime.GOARCH, "base", "db")
	path := archiveOf(t, map[string]v1.Image{"web": web, "web:2": web, "localhost/db:1": db})
	sums, events, err := load(t, s, path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, sum := range sums {
		names = append(names, sum.Names...)
	}
	slices.Sort(names)
	want := []string{"docker.io/library/web:2", "docker.io/library/web:latest", "localhost/db:1"}
	if len(sums) != 2 || !slices.Equal(names, want) {
		t.Errorf("loaded %v", names)
	}
	if last := events[len(events)-1]; last.Status != "Done" || last.Text != "Loaded" {
		t.Errorf("last event %+v", last)
	}
	list, err := s.List()
	if err != nil || len(list) != 2 || list[0].Size == 0 || list[0].Created.Year() != 2024 {
		t.Errorf("list %+v %v", list, err)
	}
	if left, _ := os.ReadDir(s.scratch.dir); len(left) != 0 {
		t.Errorf("left behind in %s: %v", s.scratch.dir, left)
	}
}

// TestLoadForms loads the same image in every form that an archive may have.
func TestLoadForms(t *testing.T) {
	s := open(t)
	docker := archiveOf(t, map[string]v1.Image{"localhost/web:1": build(t, v1.Config{}, runtime.GOARCH, "web")})
	oci := filepath.Join(t.TempDir(), "oci.tar")
	if err := testimage.OCIArchive(oci, docker, "localhost/web:1"); err != nil {
		t.Fatal(err)
	}
	for what, path := range map[string]string{"docker-archive": docker, "oci-archive": oci} {
		plain, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for form, data := range map[string][]byte{
			"plain": plain,
			"gzip":  compressed(t, plain, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }),
			"zstd":  compressed(t, plain, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
			"xz":    compressed(t, plain, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
		} {
			t.Run(what+"/"+form, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "archive")
				if err := os.WriteFile(file, data, 0o600); err != nil {
					t.Fatal(err)
				}
				fromFile, _, err := load(t, s, file)
				if err != nil {
					t.Fatal(err)
				}
				fromStdin, err := s.Load(t.Context(), bytes.NewReader(data), "standard input", nil)
				if err != nil {
					t.Fatal(err)
				}
				if len(fromFile) != 1 || fromFile[0].ID != fromStdin[0].ID || fromFile[0].Names[0] != "localhost/web:1" {
					t.Errorf("%+v %+v", fromFile, fromStdin)
				}
				if _, err := s.Remove("localhost/web:1", false); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func compressed(t *testing.T, data []byte, with func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := with(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestLoadRefuses(t *testing.T) {
	s := open(t)
	good, err := os.ReadFile(archiveOf(t, map[string]v1.Image{"web": build(t, v1.Config{}, runtime.GOARCH, "web")}))
	if err != nil {
		t.Fatal(err)
	}
	gz := compressed(t, good, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	for what, c := range map[string]struct {
		data []byte
		text string
	}{
		"nothing":          {nil, "neither"},
		"text":             {[]byte(strings.Repeat("hello ", 1000)), "damaged"},
		"root filesystem":  {tarOf(t, tar.Header{Name: "etc/passwd"}), "root filesystem"},
		"another tar":      {tarOf(t, tar.Header{Name: "x"}), "neither"},
		"cut off":          {good[:1500], ""},
		"cut off gzip":     {gz[:len(gz)/2], "damaged or cut off"},
		"no manifest":      {tarOf(t, tar.Header{Name: "manifest.json"}), ""},
		"null manifest":    {tarOf(t, tar.Header{Name: "manifest.json"}, "null"), "holds no image"},
		"empty manifest":   {tarOf(t, tar.Header{Name: "manifest.json"}, "[]"), "holds no image"},
		"empty oci index":  {tarOf(t, tar.Header{Name: "index.json"}, "{}"), "holds no image"},
		"linked oci index": {tarOf(t, tar.Header{Name: "index.json", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "no regular file"},
	} {
		_, err := s.Load(t.Context(), bytes.NewReader(c.data), what, nil)
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", what, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx, bytes.NewReader(good), "canceled", nil); err == nil {
		t.Error("a canceled load succeeds")
	}
}

// tarOf is a tar stream of one entry with the content.
func tarOf(t *testing.T, h tar.Header, content ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	all := strings.Join(content, "")
	h.Size = int64(len(all))
	if err := w.WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, all); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestLoadWarns: an image that cannot run is stored, since `load` is no judge, but the user hears of it at once.
func TestLoadWarns(t *testing.T) {
	s := open(t)
	for text, img := range map[string]v1.Image{
		"s390x":   build(t, v1.Config{}, "s390x", "a"),
		"\"FOO\"": build(t, v1.Config{Env: []string{"FOO"}}, runtime.GOARCH, "b"),
	} {
		_, events, err := load(t, s, archiveOf(t, map[string]v1.Image{"bad": img}))
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for i < len(events) && events[i].Status != "Warning" {
			i++
		}
		if i == len(events) || !strings.Contains(events[i].Details, text) {
			t.Errorf("%s: %+v", text, events)
		}
	}
}

// TestLeavesNoMount: nothing is left mounted once the store is closed.
func TestLeavesNoMount(t *testing.T) {
	s := open(t)
	have(t, s, "web", build(t, v1.Config{}, runtime.GOARCH, "web"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), s.store.GraphRoot()) {
		t.Errorf("mounted: %s", mounts)
	}
}

func podman(t *testing.T, s *Store) func(args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil {
		t.Skip("podman is not installed")
	}
	return func(args ...string) string {
		all := append([]string{"--root", s.store.GraphRoot(), "--runroot", s.store.RunRoot(), "--storage-driver", "overlay"}, args...)
		out, err := exec.CommandContext(t.Context(), "podman", all...).CombinedOutput()
		if err != nil {
			return string(out) + err.Error()
		}
		return string(out)
	}
}
