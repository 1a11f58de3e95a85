package local_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"podc.example/podc/control"
	"podc.example/podc/control/controltest"
	"podc.example/podc/control/local"
	"podc.example/podc/internal/podcbuild"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/internal/podcimage"
	"podc.example/podc/internal/testimage"
)

func TestSuite(t *testing.T) {
	podc, _ := open(t)
	archive := archiveOf(t, testimage.Probe)
	controltest.Run(t, controltest.Podc{Control: podc, Image: testimage.Ref(testimage.Busybox), Archive: archive, Remote: registryWith(t, archive)})
}

// registryWith has a registry on the host's loopback serve an image, and returns its reference.
func registryWith(t *testing.T, archive string) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	ref := strings.TrimPrefix(server.URL, "http://") + "/suite/probe:1"
	tag, err1 := name.ParseReference(ref, name.Insecure)
	img, err2 := tarball.ImageFromPath(archive, nil)
	err := errors.Join(err1, err2)
	if err == nil {
		client := &http.Transport{DisableKeepAlives: true}
		err = remote.Write(tag, img, remote.WithTransport(client))
	}
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// open returns podc on this machine, with roots and helpers of the test's own, and busybox in its store.
func open(t *testing.T) (*control.Control, local.Config) {
	t.Helper()
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("needs root and the real machine")
	}
	for _, program := range []string{"conmon", "crun"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	built = true
	helpers, err := helpersDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg := local.Config{
		Root: filepath.Join(dir, "root"), RunRoot: filepath.Join(dir, "run"), Helpers: helpers, Dir: dir,
		Env: map[string]string{"PATH": os.Getenv("PATH"), "NETCONFPATH": filepath.Join(dir, "no-networks")},
	}
	podc, err := local.Open(cfg)
	if err == nil {
		_, err = podc.Images.Load(t.Context(), control.Archive{File: archiveOf(t, testimage.Busybox)}, control.ImageWatch{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return podc, cfg
}

func archiveOf(t *testing.T, image string) string {
	t.Helper()
	path, err := testimage.Build(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// built says that a test has asked for the helpers.
var built bool

// helpersDir builds the helper programs once.
var helpersDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "podc-local-test-")
	for program, cgo := range map[string]string{"podc-monitor": "0", podccompose.Program: "0", podcimage.Program: "1", podcbuild.Program: "1"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, program), "podc.example/podc/cmd/"+program)
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		if out, failed := cmd.CombinedOutput(); failed != nil {
			err = errors.Join(err, fmt.Errorf("%w: %s", failed, out))
		}
	}
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built {
		dir, _ := helpersDir()
		os.RemoveAll(dir)
	}
	os.Exit(code)
}
