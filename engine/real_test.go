package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/host"
	"podc.example/podc/engine/logfile"
)

// The tests in this file run real containers: crun, conmon, namespaces, overlays. They need root and the programs, and each
// has roots of its own.

// helpersDir builds the helper binary once.
var helpersDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "podc-engine-test-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "podc-monitor"), "../cmd/podc-monitor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := helpersDir(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// realEngine opens an engine on fresh roots; when the test ends, every pod goes, and Check must find nothing.
func realEngine(t *testing.T) *Engine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, bin := range []string{"conmon", "crun"} {
		if _, err := host.Lookup(bin); err != nil {
			t.Skip(err)
		}
	}
	helpers, err := helpersDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e, err := Open(Config{Root: filepath.Join(dir, "data"), RunRoot: filepath.Join(dir, "run"), Helpers: helpers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		pods, err := e.Pods("")
		if err != nil {
			t.Error(err)
		}
		groups := map[string]bool{"t": true}
		for _, p := range pods {
			groups[p.Spec.Group] = true
			if err := e.RemovePod(ctx, p.Spec.Name, api.RemoveOptions{Force: true, Volumes: true}); err != nil {
				t.Error(err)
			}
		}
		for g := range groups {
			if err := e.Monitors().AwaitEnd(ctx, g); err != nil {
				t.Error(err)
			}
		}
		if err := e.Checker().removeIdleCgroups(context.Background()); err != nil {
			t.Error(err)
		}
		left, err := e.Checker().Check(ctx)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %+v, %v", left, err)
		}
	})
	return e
}

// busybox is an image of one layer with Debian's static busybox.
func busybox(t *testing.T) api.Image {
	t.Helper()
	src, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("needs the package busybox-static: ", err)
	}
	layer := filepath.Join(t.TempDir(), "layer")
	for _, dir := range []string{"bin", "etc", "data", "tmp", "proc", "sys", "dev"} {
		if err := os.MkdirAll(filepath.Join(layer, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(layer, "bin/busybox"), src, 0o755),
		os.WriteFile(filepath.Join(layer, "etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"), 0o644),
		os.WriteFile(filepath.Join(layer, "etc/group"), []byte("root:x:0:\napp:x:1000:\n"), 0o644),
		os.WriteFile(filepath.Join(layer, "data/seed"), []byte("from the image\n"), 0o640),
		os.Chown(filepath.Join(layer, "data"), 1000, 1000), os.Chown(filepath.Join(layer, "data/seed"), 1000, 1000),
		os.Chmod(layer, 0o755),
	)
	for _, name := range []string{"sh", "sleep", "cat", "echo", "true", "false", "ls", "stat", "id", "kill", "env", "hostname", "touch", "nc", "nslookup", "wget", "mkdir", "grep", "test"} {
		err = errors.Join(err, os.Symlink("busybox", filepath.Join(layer, "bin", name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return api.Image{ID: strings.Repeat("ab", 32), Names: []string{"busybox"}, Layers: []string{layer}, Config: api.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}}}
}

func shell(name, script string) api.PodSpec {
	return api.PodSpec{Name: name, Group: "t", Container: api.ContainerSpec{Image: "busybox", Command: []string{"sh", "-c", script}}}
}

func mustRun(t *testing.T, e *Engine, spec api.PodSpec, img api.Image) {
	t.Helper()
	if err := e.CreatePod(t.Context(), spec, img); err != nil {
		t.Fatal(err)
	}
	if err := e.StartPod(t.Context(), spec.Name); err != nil {
		t.Fatal(err)
	}
}

// outcome waits for the end of a pod and returns it with its output.
func outcome(t *testing.T, e *Engine, name string) (api.Pod, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := e.WaitPod(ctx, name, api.Stopped); err != nil {
		t.Fatal(err)
	}
	p, err := e.Pod(name)
	if err != nil {
		t.Fatal(err)
	}
	return p, strings.Join(e.lastLines(name, 100), "\n")
}

func TestAPodRunsToItsEnd(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	spec := shell("job", `hostname; id -u; echo $A; exit 7`)
	spec.Hostname = "box"
	spec.Container.User, spec.Container.Env = "app", []string{"A=b"}
	mustRun(t, e, spec, img)
	p, out := outcome(t, e, "job")
	if p.ExitCode != 7 || !p.ExitKnown || p.Status != api.StatusExited {
		t.Errorf("ended as %+v", p)
	}
	if out != "box\n1000\nb" {
		t.Errorf("printed %q", out)
	}
}

func TestStopGivesGraceThenKills(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	polite := shell("polite", `trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done`)
	deaf := shell("deaf", `trap '' TERM; echo up; while :; do sleep 0.1; done`)
	deaf.Container.StopGrace = new(300 * time.Millisecond)
	for _, s := range []api.PodSpec{polite, deaf} {
		mustRun(t, e, s, img)
		awaitOutput(t, e, s.Name, "up")
		if err := e.StopPod(t.Context(), s.Name, nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, code := range map[string]int{"polite": 3, "deaf": 137} {
		if p, _ := e.Pod(name); p.ExitCode != code || p.Status != api.StatusExited {
			t.Errorf("%s ended as %s with %d, want %d", name, p.Status, p.ExitCode, code)
		}
	}
}

// awaitOutput returns once the pod has printed a line.
func awaitOutput(t *testing.T, e *Engine, name, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	found := errors.New("found")
	err := e.Logs(ctx, name, logfile.Options{Follow: true, Tail: -1}, func(l api.LogLine) error {
		if string(l.Text) == line {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		t.Fatalf("%s never printed %q: %v", name, line, err)
	}
}

func TestAnEmptyVolumeIsFilledFromTheImage(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	spec := shell("vol", `stat -c '%u %a %n' /data /data/seed; cat /data/seed; echo more >> /data/seed`)
	spec.Container.Mounts = []api.Mount{{Type: api.MountVolume, Source: "v", Target: "/data"}}
	mustRun(t, e, spec, img)
	if _, out := outcome(t, e, "vol"); out != "1000 755 /data\n1000 640 /data/seed\nfrom the image" {
		t.Errorf("printed %q", out)
	}
	// A second pod finds what the first one wrote, and is not given the image's content again.
	again := shell("again", `cat /data/seed`)
	again.Container.Mounts = spec.Container.Mounts
	mustRun(t, e, again, img)
	if _, out := outcome(t, e, "again"); out != "from the image\nmore" {
		t.Errorf("printed %q", out)
	}
	if err := e.RemoveVolume(t.Context(), "v"); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a volume in use was removed: %v", err)
	}
	for _, name := range []string{"vol", "again"} {
		if err := e.RemovePod(t.Context(), name, api.RemoveOptions{}); err != nil {
			t.Error(err)
		}
	}
	if err := e.RemoveVolume(t.Context(), "v"); err != nil {
		t.Error(err)
	}
}

func TestSecretsNeverTouchTheDisk(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	spec := shell("secret", `stat -c '%u %g %a' /run/secrets/key; cat /run/secrets/key`)
	spec.Container.Files = []api.File{{Target: "/run/secrets/key", UID: "app", GID: "5", Mode: new(uint32(0o400)), Content: []byte("canary-4711")}}
	mustRun(t, e, spec, img)
	if _, out := outcome(t, e, "secret"); out != "1000 5 400\ncanary-4711" {
		t.Errorf("printed %q", out)
	}
	os.Remove(e.paths.log("secret")) // it printed the secret itself
	for _, root := range []string{e.paths.data, e.paths.run} {
		filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() && path == e.paths.files("secret") {
				return filepath.SkipDir
			}
			if err == nil && d.Type().IsRegular() {
				if b, _ := os.ReadFile(path); strings.Contains(string(b), "canary-4711") {
					t.Errorf("the secret is in %s", path)
				}
			}
			return nil
		})
	}
}

func TestAFailedStartLeavesNothing(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	spec := shell("bad", "")
	spec.Container.Command = []string{"/no/such/program"}
	if err := e.CreatePod(t.Context(), spec, img); err != nil {
		t.Fatal(err)
	}
	err := e.StartPod(t.Context(), "bad")
	if err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Fatalf("got %v", err)
	}
	if left, err := e.Checker().Check(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("left: %+v, %v", left, err)
	}
	if p, err := e.Pod("bad"); err != nil || p.Error == "" {
		t.Errorf("the pod does not say why: %+v, %v", p, err)
	}
}

func TestADevThatIsALinkIsRefused(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	dev := filepath.Join(img.Layers[0], "dev")
	if err := errors.Join(os.Remove(dev), os.Symlink("/tmp", dev)); err != nil {
		t.Fatal(err)
	}
	err := e.CreatePod(t.Context(), shell("evil", "true"), img)
	if err == nil || !strings.Contains(err.Error(), "/dev") {
		t.Fatalf("got %v", err)
	}
	if _, err := e.Pod("evil"); !errdefs.IsNotFound(err) {
		t.Errorf("the refused pod is there: %v", err)
	}
}

func TestAHalfMadePodIsSeenAndCleared(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	if err := e.CreatePod(t.Context(), shell("half", "true"), img); err != nil {
		t.Fatal(err)
	}
	// As a process that dies inside CreatePod leaves it.
	if err := e.update(t.Context(), "half", func(p *pod) error { p.state.Status = api.StatusCreating; return nil }); err != nil {
		t.Fatal(err)
	}
	if left, _ := e.Checker().Check(t.Context()); len(left) != 1 || left[0].Kind != "pod" {
		t.Errorf("check says %+v", left)
	}
	if _, err := e.Checker().Repair(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := e.Pod("half"); !errdefs.IsNotFound(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestPodsShareANetworkNamespace(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	mustRun(t, e, shell("owner", `nc -l -p 8000 -e echo hello & echo up; sleep 60`), img)
	awaitOutput(t, e, "owner", "up")
	guest := shell("guest", `until nc 127.0.0.1 8000; do sleep 0.1; done`)
	guest.Network = api.PodNetwork{Mode: api.NetworkPod, Pod: "owner"}
	mustRun(t, e, guest, img)
	if _, out := outcome(t, e, "guest"); !strings.HasSuffix(out, "hello") {
		t.Errorf("printed %q", out)
	}
}

func TestAStartIsIdempotentAndAPodCanRunAgain(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	mustRun(t, e, shell("again", `echo run; sleep 60`), img)
	first, _ := e.Pod("again")
	if err := e.StartPod(t.Context(), "again"); err != nil {
		t.Fatal(err)
	}
	if second, _ := e.Pod("again"); second.Pid != first.Pid {
		t.Error("a running pod was started again")
	}
	if err := e.StopPod(t.Context(), "again", new(time.Duration(0))); err != nil {
		t.Fatal(err)
	}
	if err := e.StartPod(t.Context(), "again"); err != nil {
		t.Fatal(err)
	}
	if p, _ := e.Pod("again"); p.Status != api.StatusRunning || p.Pid == first.Pid {
		t.Errorf("after a second start: %+v", p)
	}
}

func TestARealNetworkReachesANeighbourByName(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	ctx := t.Context()
	if err := e.CreateNetwork(ctx, api.Network{Name: "tnet"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, name := range []string{"server", "client"} {
			e.RemovePod(context.Background(), name, api.RemoveOptions{Force: true})
		}
		if err := e.RemoveNetwork(context.Background(), "tnet"); err != nil {
			t.Error(err)
		}
	})
	server := shell("server", `echo up; while :; do nc -l -p 8000 -e echo hello; done`)
	server.Network = api.PodNetwork{Endpoints: []api.Endpoint{{Network: "tnet", Aliases: []string{"web"}}}}
	mustRun(t, e, server, img)
	awaitOutput(t, e, "server", "up")
	client := shell("client", `for n in web server; do until nc $n 8000 2>/dev/null; do sleep 0.1; done; done`)
	client.Network = api.PodNetwork{Endpoints: []api.Endpoint{{Network: "tnet"}}}
	mustRun(t, e, client, img)
	if p, out := outcome(t, e, "client"); p.ExitCode != 0 || out != "hello\nhello" {
		t.Errorf("exit %d, printed %q", p.ExitCode, out)
	}
}

// While a pod publishes a port, no program of the host can take it, and the socket that sees to that is not in the container.
func TestAPublishedPortIsReserved(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	ctx := t.Context()
	if err := e.CreateNetwork(ctx, api.Network{Name: "ports"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.RemovePod(context.Background(), "pub", api.RemoveOptions{Force: true})
		if err := e.RemoveNetwork(context.Background(), "ports"); err != nil {
			t.Error(err)
		}
	})
	spec := shell("pub", `ls /proc/1/fd; echo up; sleep 60`)
	spec.Network = api.PodNetwork{Endpoints: []api.Endpoint{{Network: "ports"}}, Ports: []api.Port{{Container: 80, Protocol: "tcp"}}}
	mustRun(t, e, spec, img)
	awaitOutput(t, e, "pub", "up")
	if got := strings.Join(e.lastLines("pub", 10), " "); got != "0 1 2 up" {
		t.Errorf("the container has descriptors %q", got)
	}
	p, err := e.Pod("pub")
	if err != nil || len(p.Ports) != 1 || p.Ports[0].HostPort == 0 {
		t.Fatalf("no port was chosen: %+v, %v", p.Ports, err)
	}
	addr := fmt.Sprintf("0.0.0.0:%d", p.Ports[0].HostPort)
	if l, err := net.Listen("tcp4", addr); err == nil {
		l.Close()
		t.Errorf("a program could take %s", addr)
	}
	if err := e.StopPod(ctx, "pub", new(time.Duration(0))); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		t.Fatalf("the port is still held: %v", err)
	}
	l.Close()
}
