package project

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/enginetest"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// store is an image store in memory: references that are here, and those that can be pulled.
type store struct {
	mu       sync.Mutex
	here     map[string]api.Image
	remote   map[string]api.Image
	pulls    []string
	unpinned []string
	pushed   []string
	used     string // by others
}

func image(id string) api.Image {
	return api.Image{ID: id, Layers: []string{"/" + id}, Config: api.ImageConfig{Cmd: []string{"/app"}}}
}

func (s *store) Resolve(_ context.Context, _ string, refs []string) (map[string]api.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]api.Image{}
	for _, ref := range refs {
		if img, ok := s.here[ref]; ok {
			found[ref] = img
		}
	}
	return found, nil
}

func (s *store) Pull(_ context.Context, ref string, report func(api.Progress)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls = append(s.pulls, ref)
	img, ok := s.remote[ref]
	if !ok {
		return fmt.Errorf("cannot pull %q: no such image at the registry", ref)
	}
	report(api.Progress{ID: ref, Text: "Pulling"})
	s.here[ref] = img
	return nil
}

func (s *store) Build(_ context.Context, b api.Build, report func(api.Progress)) (string, error) {
	report(api.Progress{ID: "step", Text: "Building"})
	img := api.Image{ID: "built-" + b.Context}
	s.here[b.Names[0]] = img
	return img.ID, nil
}

func (s *store) Push(_ context.Context, ref string, report func(api.Progress)) (string, error) {
	report(api.Progress{ID: ref, Text: "Pushing"})
	if _, ok := s.here[ref]; !ok {
		return "", fmt.Errorf("cannot push %q: not here", ref)
	}
	s.pushed = append(s.pushed, ref)
	return "sha256:" + ref, nil
}

func (s *store) Unpin(_ context.Context, group string) error {
	s.unpinned = append(s.unpinned, group)
	return nil
}

func (s *store) Remove(_ context.Context, ref string) error {
	if ref == s.used {
		return fault.New(errdefs.ErrFailedPrecondition, "cannot remove image %q: in use by other", ref)
	}
	if _, ok := s.here[ref]; !ok {
		return errdefs.ErrNotFound
	}
	delete(s.here, ref)
	return nil
}

type world struct {
	Deps
	fake   *enginetest.Fake
	images *store
	events []Event
}

func newWorld(t *testing.T) *world {
	w := &world{fake: &enginetest.Fake{}, images: &store{here: map[string]api.Image{"app": image("app-1")}, remote: map[string]api.Image{}}}
	w.Deps = Deps{Engine: w.fake, Images: w.images, RunDir: t.TempDir(), Report: func(e Event) { w.events = append(w.events, e) }}
	return w
}

func (w *world) kinds(kind EventKind) []Event {
	return slices.DeleteFunc(slices.Clone(w.events), func(e Event) bool { return e.Kind != kind })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestUpConverges(t *testing.T) {
	w := newWorld(t)
	d := parseWish(t, []byte(shop))
	must(t, Up(t.Context(), w.Deps, d, UpOptions{}))
	before := len(w.fake.Log())
	w.events = nil
	must(t, Up(t.Context(), w.Deps, d, UpOptions{}))
	if n := len(w.fake.Log()); n != before {
		t.Errorf("the second up did %q", w.fake.Log()[before:])
	}
	if planned := w.kinds(Planned); len(planned) != 1 || !planned[0].Plan.Empty() {
		t.Errorf("planned %v", planned)
	}
	must(t, Down(t.Context(), w.Deps, Desired{Name: "shop"}, DownOptions{}))
	if s, _ := w.fake.Snapshot(t.Context(), "shop"); len(s.Pods)+len(s.Networks) > 0 {
		t.Errorf("left %v", s)
	}
	if left, _ := os.ReadDir(filepath.Join(w.RunDir, "projects")); len(left) > 0 || !slices.Equal(w.images.unpinned, []string{"shop"}) {
		t.Errorf("left %v, unpinned %v", left, w.images.unpinned)
	}
}

// The second of two commands waits for the first, says so, and finds nothing to do.
func TestUpWaitsForLock(t *testing.T) {
	w := newWorld(t)
	d := parseWish(t, []byte(shop))
	held, err := disk.TryLock(w.lockPath("shop"))
	must(t, err)
	held.Note()
	waiting := make(chan string, 1)
	w.Report = func(e Event) {
		if e.Kind == LockAwaited {
			waiting <- e.Text
		}
	}
	done := make(chan error)
	go func() { done <- Up(t.Context(), w.Deps, d, UpOptions{}) }()
	if text := <-waiting; text != "waiting for project lock held by this command itself" {
		t.Error(text)
	}
	if len(w.fake.Log()) > 0 {
		t.Errorf("did %q without the lock", w.fake.Log())
	}
	held.Unlock()
	must(t, <-done)
}

func TestUpsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.Report = nil
	d := parseWish(t, []byte(shop))
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { errs[i] = Up(t.Context(), w.Deps, d, UpOptions{}) })
	}
	wg.Wait()
	must(t, errors.Join(errs...))
	creations := slices.DeleteFunc(w.fake.Log(), func(c string) bool { return !strings.HasPrefix(c, "create pod") })
	if len(creations) != 3 {
		t.Errorf("made %q", creations)
	}
}

func TestUpPulls(t *testing.T) {
	w := newWorld(t)
	w.images.remote["new"], w.images.remote["app"] = image("new-1"), image("app-2")
	d := parseWish(t, []byte("service a image=new\nservice b image=new\nservice c pull=always\nservice d"))
	must(t, Up(t.Context(), w.Deps, d, UpOptions{}))
	slices.Sort(w.images.pulls)
	if !slices.Equal(w.images.pulls, []string{"app", "new"}) || len(w.kinds(PrepareMoved)) != 2 {
		t.Errorf("pulled %v", w.images.pulls)
	}
	s, _ := w.fake.Snapshot(t.Context(), "shop")
	for _, p := range s.Pods {
		if id := w.images.here[p.Spec.Container.Image].ID; p.Spec.Container.ImageID != id || p.Spec.Labels[LabelImage] != "sha256:"+id {
			t.Errorf("%s has image %s %v", p.Spec.Name, p.Spec.Container.ImageID, p.Spec.Labels)
		}
	}
}

func TestUpPullFails(t *testing.T) {
	w := newWorld(t)
	err := Up(t.Context(), w.Deps, parseWish(t, []byte("service a image=gone\nservice b")), UpOptions{})
	want := `cannot pull "gone": no such image at the registry (needed by a)`
	if err == nil || err.Error() != want || len(w.fake.Log()) > 0 {
		t.Errorf("got %v, did %q", err, w.fake.Log())
	}
}

// Everything that can be refused is refused before the first effect, a pull included.
func TestUpRefusesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		wish  string
		class error
	}{
		"external":    {"network x external\nservice a image=far networks=x", errdefs.ErrNotFound},
		"never":       {"service a image=far\nservice b image=gone pull=never", errdefs.ErrNotFound},
		"port in use": {"service a image=far ports=8080:80", errdefs.ErrConflict},
		"port twice":  {"service a image=far replicas=2 ports=9000:80", errdefs.ErrConflict},
		"unprobed":    {"service a image=far\nservice b\nservice c needs=b:healthy", errdefs.ErrFailedPrecondition},
		"no command":  {"service a image=far\nservice b image=mute", errdefs.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.images.remote["far"] = image("far-1")
			w.images.here["mute"] = api.Image{ID: "mute-1", Layers: []string{"/mute"}}
			w.fake.Occupy(api.Port{HostPort: 8080, Protocol: "tcp"}, "nginx (pid 7)")
			err := Up(t.Context(), w.Deps, parseWish(t, []byte(c.wish)), UpOptions{})
			if !errors.Is(err, c.class) || len(w.fake.Log()) > 0 || len(w.images.pulls) > 0 {
				t.Errorf("got %v, did %q, pulled %q", err, w.fake.Log(), w.images.pulls)
			}
		})
	}
}

// A changed volume is lost only with consent.
func TestUpAsksBeforeLoss(t *testing.T) {
	w := newWorld(t)
	must(t, Up(t.Context(), w.Deps, parseWish(t, []byte("volume v\nservice db volumes=v:/data")), UpOptions{}))
	d := parseWish(t, []byte("volume v hash=h2\nservice db volumes=v:/data"))
	before := len(w.fake.Log())
	must(t, Up(t.Context(), w.Deps, d, UpOptions{}))
	if len(w.fake.Log()) != before || len(w.kinds(Warned)) != 1 {
		t.Errorf("did %q, warned %v", w.fake.Log()[before:], w.kinds(Warned))
	}
	var asked []string
	w.Confirm = func(steps []Step) bool {
		for _, s := range steps {
			asked = append(asked, s.Key.String())
		}
		return true
	}
	must(t, Up(t.Context(), w.Deps, d, UpOptions{}))
	if !slices.Equal(asked, []string{"remove volume v"}) || !slices.Contains(w.fake.Log(), "remove volume v") {
		t.Errorf("asked %q, did %q", asked, w.fake.Log()[before:])
	}
}

// A run that dies between removing a pod and making its successor does not lose the anonymous volume.
func TestUpInheritsAfterCrash(t *testing.T) {
	w := newWorld(t)
	must(t, Up(t.Context(), w.Deps, parseWish(t, []byte("service db volumes=:/data")), UpOptions{}))
	volume := func() string {
		s, _ := w.fake.Snapshot(t.Context(), "shop")
		if len(s.Pods) != 1 {
			return ""
		}
		return s.Pods[0].Volumes["/data"]
	}
	before := volume()
	w.fake.Fail = func(c string) error {
		if c == "create pod shop-db-1" {
			return errBoom
		}
		return nil
	}
	d := parseWish(t, []byte("service db hash=h2 volumes=:/data"))
	if err := Up(t.Context(), w.Deps, d, UpOptions{}); !errors.Is(err, errBoom) || volume() != "" {
		t.Fatalf("got %v", err)
	}
	w.fake.Fail = nil
	must(t, Up(t.Context(), w.Deps, d, UpOptions{}))
	if before == "" || volume() != before {
		t.Errorf("volume %q became %q", before, volume())
	}
	if _, err := os.Stat(w.inheritPath("shop")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the note stayed: %v", err)
	}
}

func TestPlanUpDoesNothing(t *testing.T) {
	w := newWorld(t)
	p, err := PlanUp(t.Context(), w.Deps, parseWish(t, []byte("service a image=far\nservice b")), UpOptions{}, "")
	if err != nil || len(p.Prepare) != 1 || len(p.Steps) != 4 || len(w.fake.Log())+len(w.images.pulls) > 0 {
		t.Errorf("got %v\n%s", err, p)
	}
	b, err := json.Marshal(p)
	must(t, err)
	for _, want := range []string{`"prepare":[{"ref":"far","how":"pull","reason":{"kind":"missing"},"services":["a"],"why":"missing"}]`, `"verb":"start","kind":"pod","name":"shop-b-1","why":"missing","reason":{"kind":"missing"},"after":["create pod shop-b-1"]`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %s", b, want)
		}
	}
}

func TestScale(t *testing.T) {
	w := newWorld(t)
	d := parseWish(t, []byte("service db\nservice web needs=db"))
	must(t, Up(t.Context(), w.Deps, d, UpOptions{}))
	must(t, Up(t.Context(), w.Deps, d, UpOptions{Services: []string{"web"}, Scale: map[string]int{"web": 3}, NoDeps: true}))
	must(t, Up(t.Context(), w.Deps, d, UpOptions{Services: []string{"db", "web"}, Scale: map[string]int{"web": 1, "db": 0}}))
	s, _ := w.fake.Snapshot(t.Context(), "shop")
	if len(s.Pods) != 1 || s.Pods[0].Spec.Name != "shop-web-1" {
		t.Errorf("left %v", s.Pods)
	}
}

func TestDownRemovesImages(t *testing.T) {
	for flag, want := range map[string]int{"": 2, "local": 1, "all": 0} {
		w := newWorld(t)
		w.images.here["shop-built"] = image("built")
		d := parseWish(t, []byte("service built image=shop-built\nservice web"))
		must(t, Up(t.Context(), w.Deps, d, UpOptions{}))
		must(t, Down(t.Context(), w.Deps, Desired{Name: "shop"}, DownOptions{RemoveImages: flag}))
		if len(w.images.here) != want {
			t.Errorf("--rmi %q left %v", flag, w.images.here)
		}
	}
}

func TestDownTellsOfImages(t *testing.T) {
	w := newWorld(t)
	w.images.here["used"], w.images.here["kept"] = image("used"), image("kept")
	d := parseWish(t, []byte("service web\nservice other image=used\nservice gone image=absent replicas=0\ndisabled debug"))
	must(t, Up(t.Context(), w.Deps, d, UpOptions{}))
	must(t, Up(t.Context(), w.Deps, parseWish(t, []byte("service debug image=kept")), UpOptions{IgnoreOrphans: true}))
	w.images.used, w.events = "used", nil
	must(t, Down(t.Context(), w.Deps, d, DownOptions{RemoveImages: "all"}))
	var got []string
	for _, e := range w.events {
		switch e.Kind {
		case RemovalBegan:
			got = append(got, "removing "+e.Image)
		case RemovalEnded:
			got = append(got, fmt.Sprintf("removed %s, %v", e.Image, e.Err != nil))
		case Warned:
			got = append(got, e.Text)
		}
	}
	want := []string{"removing app", "removed app, false", "removing used", `cannot remove image "used": in use by other`, "removed used, true"}
	if !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
	if _, here := w.images.here["kept"]; !here {
		t.Error("the image of an inactive profile is gone")
	}
	delete(w.images.here, "used")
	w.events = nil
	must(t, Down(t.Context(), w.Deps, d, DownOptions{RemoveImages: "all"}))
	if warned := w.kinds(Warned); len(warned) != 1 || !strings.Contains(warned[0].Text, "No resource found to remove") {
		t.Errorf("of nothing it says %v", warned)
	}
}

// A dry run of any verb ends its context when it sees the plan.
func TestDryRun(t *testing.T) {
	w := newWorld(t)
	d := parseWish(t, []byte(shop))
	must(t, Up(t.Context(), w.Deps, d, UpOptions{}))
	before := len(w.fake.Log())
	ctx, cancel := context.WithCancelCause(t.Context())
	dry := errors.New("dry run")
	w.Report = func(e Event) {
		if e.Kind == Planned {
			cancel(dry)
		}
	}
	if err := Down(ctx, w.Deps, d, DownOptions{RemoveImages: "all"}); !errors.Is(err, dry) {
		t.Error(err)
	}
	if len(w.fake.Log()) != before || len(w.images.here) != 1 || len(w.images.unpinned) > 0 {
		t.Errorf("did %q", w.fake.Log()[before:])
	}
}

func TestVerbs(t *testing.T) {
	w := newWorld(t)
	d := parseWish(t, []byte(shop))
	must(t, Up(t.Context(), w.Deps, d, UpOptions{}))
	name := Desired{Name: "shop"}
	states := func() string {
		s, _ := w.fake.Snapshot(t.Context(), "shop")
		var all []string
		for _, p := range s.Pods {
			all = append(all, string(p.Status))
		}
		return strings.Join(all, " ")
	}
	ctx := t.Context()
	for _, step := range []struct {
		what string
		do   func() error
		want string
	}{
		{"stop", func() error { return Stop(ctx, w.Deps, name, StopOptions{Services: []string{"web"}}) }, "running running exited"},
		{"start", func() error { return Start(ctx, w.Deps, name, StartOptions{}) }, "running running running"},
		{"restart", func() error { return Restart(ctx, w.Deps, name, RestartOptions{}) }, "running running running"},
		{"kill", func() error { return Kill(ctx, w.Deps, name, KillOptions{Services: []string{"db", "far"}}) }, "exited exited running"},
		{"rm unasked", func() error { return Remove(ctx, w.Deps, name, RemoveOptions{}) }, "exited exited running"},
		{"rm", func() error { return Remove(ctx, w.Deps, name, RemoveOptions{Force: true}) }, "running"},
		{"rm -s", func() error { return Remove(ctx, w.Deps, name, RemoveOptions{Force: true, Stop: true}) }, ""},
		{"rm of nothing", func() error { return Remove(ctx, w.Deps, name, RemoveOptions{Force: true}) }, ""},
	} {
		if err := step.do(); err != nil || states() != step.want {
			t.Fatalf("%s: %v, %q", step.what, err, states())
		}
	}
}

// Where not every network could be looked for, a missing one is no reason to create it.
func TestAnExternalNetworkThatCouldNotBeLookedFor(t *testing.T) {
	o := parseObserved(t, nil)
	o.Unread = errBoom
	_, err := Diff(parseWish(t, []byte("network x external\nservice a networks=x")), o, UpOptions{})
	if !errors.Is(err, errBoom) || strings.Contains(err.Error(), "podc network create") {
		t.Errorf("it says %v", err)
	}
	mustDiff(t, parseWish(t, []byte("service a")), o, UpOptions{}) // is in the way of nothing else
}
