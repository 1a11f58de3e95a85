// Package e2e tests the built podc on the real machine: real crun, conmon, networks, images. Each test has roots of its own,
// is named as a behaviour, observes state rather than output where it can, and ends with nothing left behind, which two
// checkers confirm: podc's own (`podc system check`) and one here that knows nothing of podc's code (leaks_test.go).
package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"podc.example/podc/internal/testimage"
)

var binDir = flag.String("podc-bin", "", "folder of built binaries; empty: build them")

func TestMain(m *testing.M) {
	flag.Parse()
	// Package net finds out once what families there are, and it must not do so in a namespace whose loopback is down.
	if l, err := net.Listen("tcp", "localhost:0"); err == nil {
		l.Close()
	}
	os.Exit(func() int {
		if os.Geteuid() != 0 || testing.Short() {
			return m.Run() // every test skips itself
		}
		if *binDir == "" {
			dir, err := os.MkdirTemp("", "podc-e2e-bin-")
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer os.RemoveAll(dir)
			*binDir = dir
			if err := build(dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return m.Run()
	}())
}

// build makes the binaries as `task build` does.
func build(dir string) error {
	if out, err := exec.Command("bash", "../.ci/build", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build podc: %w\n%s", err, out)
	}
	return nil
}

// stack is one compose project on roots of its own.
type stack struct {
	t    *testing.T
	dir  string // holds compose.yaml
	root string
	run  string
	name string
	env  []string
	bin  string   // folder of podc; empty: that of all tests
	wrap []string // a program that runs podc, and its arguments
}

// newStack writes compose (and further files, by name) into a fresh folder. At the end of the test the project goes, and
// nothing may be left.
func newStack(t *testing.T, compose string, files ...string) *stack {
	t.Helper()
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("needs root and the real machine")
	}
	dir := t.TempDir()
	s := &stack{t: t, dir: filepath.Join(dir, "p"), root: filepath.Join(dir, "root"), run: filepath.Join(dir, "run"), name: "p"}
	s.write("compose.yaml", compose)
	for i := 0; i+1 < len(files); i += 2 {
		s.write(files[i], files[i+1])
	}
	before := census(s)
	t.Cleanup(func() {
		s.down("-v", "--remove-orphans", "-t", "0")
		if out, err := s.try("system", "check"); err != nil {
			t.Errorf("system check: %v\n%s", err, out)
		}
		s.builderEnds()
		for _, leak := range census(s).minus(before) {
			t.Errorf("left behind: %s", leak)
		}
	})
	return s
}

func (s *stack) write(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		s.t.Fatal(err)
	}
}

// load builds the test images and loads them into the stack's store.
func (s *stack) load(images ...string) {
	s.t.Helper()
	for _, image := range images {
		s.podc("load", "-q", "-i", archiveOf(s.t, image))
	}
}

// archives maps the images that this process has built: apt needs seconds to find that nothing changed.
var archives sync.Map

func archiveOf(t *testing.T, image string) string {
	t.Helper()
	if path, ok := archives.Load(image); ok {
		return path.(string)
	}
	path, err := testimage.Build(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	archives.Store(image, path)
	return path
}

// cmd is podc with the stack's roots, in its folder.
func (s *stack) cmd(ctx context.Context, args ...string) *exec.Cmd {
	args = append(append(slices.Clone(s.wrap), filepath.Join(cmp.Or(s.bin, *binDir), "podc")), args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PODC_ROOT="+s.root, "PODC_RUNROOT="+s.run, "COMPOSE_PROJECT_NAME="+s.name,
		"NETCONFPATH="+filepath.Join(s.root, "no-networks")) // not those of other engines
	cmd.Env = append(cmd.Env, s.env...)
	return cmd
}

// commandDeadline bounds any podc command of a test.
const commandDeadline = 3 * time.Minute

// try runs podc and returns what it printed on both streams; a failure is an error.
func (s *stack) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandDeadline)
	defer cancel()
	out, err := s.cmd(ctx, args...).CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("podc %s did not end within %s", strings.Join(args, " "), commandDeadline)
	}
	return string(out), err
}

// podc runs podc, which must succeed, and returns its standard output.
func (s *stack) podc(args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandDeadline)
	defer cancel()
	cmd := s.cmd(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("podc %s: %v\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String()
}

// fails runs podc, which must exit with code, and returns what it printed on both streams.
func (s *stack) fails(code int, args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if exitCode(err) != code {
		s.t.Fatalf("podc %s: %v, want exit code %d\n%s", strings.Join(args, " "), err, code, out)
	}
	return out
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// down takes the project down by labels alone: all profiles, whatever the file says by now.
func (s *stack) down(args ...string) {
	s.t.Helper()
	if out, err := s.try(append([]string{"-p", s.name, "down"}, args...)...); err != nil {
		s.t.Errorf("down: %v\n%s", err, out)
	}
}

// row is what `ps --format json` says of a container, as far as tests ask.
type row struct {
	ID, Name, Service, State, Health, Status string
	ExitCode                                 int
	Publishers                               []struct {
		URL                       string
		TargetPort, PublishedPort int
		Protocol                  string
	}
}

// ps lists all containers of the project by name.
func (s *stack) ps() map[string]row {
	s.t.Helper()
	rows := map[string]row{}
	for line := range strings.Lines(s.podc("ps", "-a", "--format", "json")) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.t.Fatalf("ps printed %q: %v", line, err)
		}
		rows[r.Name] = r
	}
	return rows
}

// step is a step of `plan --format json`.
type step struct{ ID, Why string }

// plan is what an `up` would do now.
func (s *stack) plan(args ...string) []step {
	s.t.Helper()
	var p struct{ Steps []step }
	out := s.podc(append([]string{"plan", "--format", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		s.t.Fatalf("plan printed %q: %v", out, err)
	}
	return p.Steps
}

// pid is the first process of a container, as the state of the engine has it.
func (s *stack) pid(pod string) int {
	s.t.Helper()
	var state struct {
		Init struct{ Pid int } `json:"init"`
	}
	b, err := os.ReadFile(filepath.Join(s.run, "pods", pod, "state.json"))
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return state.Init.Pid
}

// exec runs a command in a service and returns what it printed.
func (s *stack) exec(service string, args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(s.podc(append([]string{"exec", "-T", service}, args...)...))
}

// freePort is a port that nothing on the host listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// eventually asks until the answer is nil, within d. It is for what no event tells from outside: the answer itself waits (a
// connection, a command), and failed ones are a moment apart.
func eventually(t *testing.T, d time.Duration, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %v", d, err)
		case <-tick.C:
		}
	}
}

// get fetches a page of a published port.
func get(port int, path string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://127.0.0.1:" + strconv.Itoa(port) + path)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", res.Status, b.String())
	}
	return b.String(), nil
}
