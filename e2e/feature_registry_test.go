package e2e

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"podc.example/podc/internal/testimage"
)

// loopbackRegistry serves images on the host's loopback, and counts what is asked of it.
type loopbackRegistry struct {
	t    *testing.T
	host string
	asks atomic.Int64
}

func newRegistry(t *testing.T) *loopbackRegistry {
	r := &loopbackRegistry{t: t}
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.asks.Add(1)
		handler.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

func (r *loopbackRegistry) push(ref string, img v1.Image) {
	r.t.Helper()
	tag, err := name.ParseReference(r.host+"/"+ref, name.Insecure)
	if err == nil {
		err = remote.Write(tag, img)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestPulls(t *testing.T) {
	r := newRegistry(t)
	img := func(greeting string) v1.Image {
		return derived(t, v1.Config{Env: []string{"GREETING=" + greeting}, Cmd: []string{"sleep", "1000"}, StopSignal: "SIGKILL"})
	}
	r.push("shop/web:1", img("one"))
	s := newStack(t, "services: {web: {image: "+r.host+"/shop/web:1, pull_policy: '${POLICY:-missing}'}, other: {image: "+r.host+"/shop/web:1}}")
	s.behaves("never is refused before anything is made, and asks nobody", func(s *stack) {
		asks := r.asks.Load()
		s.env = []string{"POLICY=never"}
		contains(s.t, s.fails(1, "up", "-d", "web"), "shop/web:1")
		s.env = nil
		contains(s.t, s.fails(1, "up", "-d", "--pull", "never"), "shop/web:1")
		if rows := s.ps(); len(rows) > 0 || r.asks.Load() != asks {
			s.t.Errorf("made %v, asked %d times", rows, r.asks.Load()-asks)
		}
		if out := s.podc("network", "ls", "-q", "-f", "type=custom"); out != "" {
			s.t.Errorf("made networks %s", out)
		}
	})
	s.behaves("plan says what it would pull, and does not", func(s *stack) {
		contains(s.t, s.podc("plan"), "shop/web:1")
		if out := s.podc("image", "ls", "-q"); out != "" {
			s.t.Errorf("there is %s", out)
		}
	})
	s.behaves("what is missing is pulled once, and not again", func(s *stack) {
		contains(s.t, s.podcErr("up", "-d"), "shop/web:1", "Pulled")
		s.says("web", "echo $GREETING", "one")
		asks := r.asks.Load()
		s.podc("up", "-d", "--force-recreate")
		if n := r.asks.Load() - asks; n != 0 {
			s.t.Errorf("asked %d times more", n)
		}
	})
	s.behaves("always asks again, and a new image recreates", func(s *stack) {
		before := s.ids()
		s.podc("up", "-d", "--pull", "always")
		s.onlyChanged(before)
		r.push("shop/web:1", img("two"))
		s.podc("up", "-d")
		s.onlyChanged(before)
		s.podc("up", "-d", "--pull", "always")
		s.onlyChanged(before, "p-web-1", "p-other-1")
		s.says("web", "echo $GREETING", "two")
	})
	s.behaves("pull_policy: always does what --pull always does", func(s *stack) {
		r.push("shop/web:1", img("three"))
		s.env = []string{"POLICY=always"}
		s.podc("up", "-d", "web")
		s.says("web", "echo $GREETING", "three")
		asks := r.asks.Load()
		s.podc("up", "-d", "--pull", "missing", "web")
		if n := r.asks.Load() - asks; n != 0 {
			s.t.Errorf("--pull missing asked %d times", n)
		}
	})
	s.behaves("image pull fetches", func(s *stack) {
		r.push("shop/tool:7", img("tool"))
		s.podc("image", "pull", r.host+"/shop/tool:7")
		contains(s.t, s.podc("image", "inspect", r.host+"/shop/tool:7"), "GREETING=tool")
	})
	s.behaves("an image that is nowhere is an error that names it, before anything is made", func(s *stack) {
		s.podc("-p", "second", "create")
		contains(s.t, s.podcErr("down", "--rmi", "all"), "Image "+r.host+"/shop/web:1 Resource is still in use", "in use by second")
		contains(s.t, s.podcErr("-p", "second", "down", "--rmi", "all"), "Image "+r.host+"/shop/web:1 Removed")
		if out := s.podc("image", "ls", "--format", "{{.Repository}}"); strings.Contains(out, "shop/web") {
			s.t.Errorf("left is %s", out)
		}
		s.write("compose.yaml", "services: {web: {image: "+r.host+"/shop/none:1}}")
		contains(s.t, s.fails(1, "up", "-d"), "shop/none:1")
		contains(s.t, s.fails(1, "image", "pull", r.host+"/shop/none:1"), "shop/none:1")
		s.write("compose.yaml", "services: {web: {image: 127.0.0.1:1/shop/none:1}}")
		contains(s.t, s.fails(1, "up", "-d"), "127.0.0.1:1")
		if out := s.podc("network", "ls", "-q", "-f", "type=custom"); out != "" {
			s.t.Errorf("made networks %s", out)
		}
	})
}

func TestImages(t *testing.T) {
	s := newStack(t, "services: {a: {image: localhost/shop, entrypoint: sleep, command: ['1000'], stop_signal: SIGKILL}}")
	path := dockerArchive(t, "localhost/shop", everySetting(t))
	oci := filepath.Join(t.TempDir(), "oci.tar")
	if err := testimage.OCIArchive(oci, path, "localhost/from-oci:1"); err != nil {
		t.Fatal(err)
	}
	s.behaves("are loaded from files and the standard input, docker's form and OCI's", func(s *stack) {
		contains(s.t, s.podc("load", "-i", path), "localhost/shop:latest")
		s.podc("image", "rm", "localhost/shop")
		cmd := s.cmd(s.t.Context(), "load", "-q")
		f, err := os.Open(path)
		if err != nil {
			s.t.Fatal(err)
		}
		defer f.Close()
		cmd.Stdin = f
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "localhost/shop:latest") {
			s.t.Errorf("%v: %s", err, out)
		}
		contains(s.t, s.podc("image", "load", "-i", oci), "localhost/from-oci:1")
	})
	s.behaves("that are none are refused", func(s *stack) {
		s.write("junk.tar", "this is no archive")
		contains(s.t, s.fails(1, "load", "-i", "junk.tar"), "junk.tar")
		contains(s.t, s.fails(1, "load", "-i", "none.tar"), "none.tar")
		b, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		s.write("half.tar", string(b[:len(b)/2]))
		contains(s.t, s.fails(1, "load", "-i", "half.tar"), "half.tar")
	})
	s.behaves("are listed and inspected", func(s *stack) {
		contains(s.t, s.podc("image", "ls"), "REPOSITORY", "localhost/shop", "latest", "localhost/from-oci")
		if ids := strings.Fields(s.podc("image", "ls", "-q")); len(ids) != 1 || len(ids[0]) != 12 {
			s.t.Errorf("ids %v", ids)
		}
		var found []map[string]any
		if err := json.Unmarshal([]byte(s.podc("image", "inspect", "localhost/shop")), &found); err != nil || len(found) != 1 {
			s.t.Fatalf("%v: %v", err, found)
		}
		config, _ := found[0]["Config"].(map[string]any)
		if config["User"] != "app" || config["WorkingDir"] != "/work" {
			s.t.Errorf("it is %v", found)
		}
		contains(s.t, s.fails(1, "image", "inspect", "nowhere"), "nowhere")
	})
	s.behaves("have several names, and go with the last", func(s *stack) {
		s.podc("image", "tag", "localhost/shop", "localhost/other:2")
		s.podc("image", "rm", "localhost/from-oci:1")
		contains(s.t, s.podc("image", "ls"), "localhost/other", "localhost/shop")
		// What is removed is told, whatever becomes of the rest.
		contains(s.t, s.fails(1, "image", "rm", "localhost/other:2", "nowhere"), "Untagged: localhost/other:2", "nowhere")
		contains(s.t, s.podc("image", "ls"), "localhost/shop")
	})
	s.behaves("in use are not removed", func(s *stack) {
		s.podc("up", "-d")
		contains(s.t, s.fails(1, "image", "rm", "localhost/shop"), "localhost/shop", "in use by p ")
		s.exec("a", "true")
	})
	s.behaves("loaded anew recreate who uses them, and say so", func(s *stack) {
		before := s.ids()
		s.loadImage("localhost/shop", derived(s.t, v1.Config{Env: []string{"NEW=1"}}))
		steps := s.plan()
		found := false
		for _, step := range steps {
			found = found || strings.Contains(step.Why, "image changed")
		}
		if !found {
			s.t.Errorf("the plan is %v", steps)
		}
		s.podc("up", "-d")
		s.onlyChanged(before, "p-a-1")
		s.says("a", "echo $NEW", "1")
	})
	s.behaves("go once nobody uses them", func(s *stack) {
		s.podc("down", "--rmi", "all", "-v")
		if out := s.podc("image", "ls", "-a", "-q"); strings.Contains(out, "shop") {
			s.t.Errorf("left is %s", out)
		}
		contains(s.t, s.fails(1, "image", "rm", "localhost/shop"), "localhost/shop")
	})
}

// `podc pull` fetches what services run, and touches no container.
func TestPullCommand(t *testing.T) {
	r := newRegistry(t)
	img := func(greeting string) v1.Image { return derived(t, v1.Config{Env: []string{"GREETING=" + greeting}}) }
	r.push("web:1", img("one"))
	r.push("db:1", img("db"))
	s := newStack(t, `
services:
  web: {image: `+r.host+`/web:1, depends_on: [db], entrypoint: [/bin/sh, -c, 'echo $$GREETING']}
  db: {image: `+r.host+`/db:1}
  built: {build: .}
  both: {image: `+r.host+`/gone:1, build: .}
  never: {image: `+r.host+`/gone:2, pull_policy: never}
`, "Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
	images := func(s *stack) string { return s.podc("image", "ls", "--format", "{{.Repository}}") }
	s.behaves("only what is named is pulled, and what it depends on if that is asked for", func(s *stack) {
		s.podc("pull", "-q", "web")
		if list := images(s); !strings.Contains(list, "/web") || strings.Contains(list, "/db") {
			s.t.Errorf("there is\n%s", list)
		}
		s.podc("pull", "--include-deps", "--policy", "always", "web")
		contains(s.t, images(s), "/db")
	})
	s.behaves("what is here is pulled again, unless only what is missing is to be", func(s *stack) {
		said := func() string { return s.podc("run", "--rm", "-T", "--no-deps", "web") }
		r.push("web:1", img("two"))
		s.podc("pull", "--policy", "missing", "web")
		contains(s.t, said(), "one")
		s.podc("pull", "web")
		contains(s.t, said(), "two")
	})
	s.behaves("what cannot be pulled is told, or warned of", func(s *stack) {
		contains(s.t, s.fails(1, "pull", "both"), "gone:1")
		out, err := s.try("pull", "--ignore-pull-failures", "--parallel", "both")
		if err != nil {
			s.t.Errorf("%v\n%s", err, out)
		}
		contains(s.t, out, "warning: ")
		s.podc("pull", "--ignore-buildable", "--no-parallel")
		contains(s.t, s.fails(1, "pull", "nobody"), "no such service: nobody")
		contains(s.t, s.fails(1, "pull", "--policy", "odd"), "odd")
	})
	s.behaves("an image that is to be pulled and cannot be is built, if it can be", func(s *stack) {
		s.write("missing.yaml", "services: {both: {image: "+r.host+"/gone:1, build: ., pull_policy: missing, command: x}}\n")
		s.podc("-f", "missing.yaml", "create")
		contains(s.t, images(s), "/gone")
	})
}

// `podc push` sends what services build to where its name says, and whoever pulls it has the same.
func TestPushCommand(t *testing.T) {
	r := newRegistry(t)
	s := newStack(t, `
services:
  web: {image: `+r.host+`/web:1, build: {context: ., tags: [`+r.host+`/web:extra]}, depends_on: [base], command: [/bin/sh, -c, cat /made]}
  base: {image: `+r.host+`/base:1, build: {context: .}}
  nameless: {build: .}
  foreign: {image: `+r.host+`/foreign:1}
`, "Dockerfile", "FROM localhost/podc-busybox\nRUN echo made > /made\n")
	s.load("busybox")
	s.behaves("what is not built yet cannot be pushed", func(s *stack) {
		contains(s.t, s.fails(1, "push", "web"), r.host+"/web:1")
		out, err := s.try("push", "--ignore-push-failures", "web")
		if err != nil {
			s.t.Errorf("%v\n%s", err, out)
		}
	})
	s.podc("build")
	s.behaves("images go to where their names say, with those of dependencies if that is asked for", func(s *stack) {
		s.podc("push", "--include-deps", "web")
		id := func() string {
			return s.podc("image", "ls", "-q", "--no-trunc", "--filter", "reference="+r.host+"/web")
		}
		before := id()
		s.podc("image", "rm", "-f", r.host+"/web:1", r.host+"/web:extra", r.host+"/base:1")
		for _, ref := range []string{"/web:1", "/web:extra", "/base:1"} {
			s.podc("image", "pull", "-q", r.host+ref)
		}
		if after := id(); after != before {
			s.t.Errorf("it was %s and is %s", before, after)
		}
		contains(s.t, s.podc("run", "--rm", "-T", "--no-deps", "web"), "made")
	})
	s.behaves("a build without a name of its own and an image that others build stay here", func(s *stack) {
		asks := r.asks.Load()
		s.podc("push", "-q", "nameless", "foreign")
		if r.asks.Load() != asks {
			s.t.Error("the registry was asked")
		}
	})
	s.behaves("an image is pushed by its name", func(s *stack) {
		s.podc("image", "tag", r.host+"/base:1", r.host+"/other:1")
		contains(s.t, s.podc("image", "push", "-q", r.host+"/other:1"), "sha256:")
		contains(s.t, s.fails(1, "image", "push", r.host+"/nothing:1"), "not found")
	})
}
