package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/engine/enginetest"
)

var errBoom = errors.New("boom")

// failing is an engine in which one call fails.
func failing(call string) *enginetest.Fake {
	return &enginetest.Fake{Fail: func(c string) error {
		if c == call {
			return errBoom
		}
		return nil
	}}
}

func mustDiff(t testing.TB, d Desired, o Observed, opt UpOptions) Plan {
	t.Helper()
	p, err := Diff(d, o, opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const shop = `
network shop_back
service db networks=shop_back health
service web networks=shop_back needs=db:healthy
service far
`

// A failed step fails nothing but those that need it, whatever the scheduler does.
func TestRunSkipsDependents(t *testing.T) {
	plan := mustDiff(t, parseWish(t, []byte(shop)), parseObserved(t, nil), UpOptions{})
	for range 500 {
		f := failing("wait pod shop-db-1 healthy")
		kinds := map[string]EventKind{}
		err := Run(t.Context(), f, plan, func(e Event) { kinds[e.Step.Key.String()] = e.Kind })
		var failed *StepError
		if !errors.Is(err, errBoom) || !errors.As(err, &failed) || failed.Step.Key.String() != "wait pod shop-db-1 healthy" {
			t.Fatalf("got %v", err)
		}
		log := f.Log()
		if slices.Contains(log, "start pod shop-web-1") || !slices.Contains(log, "start pod shop-far-1") {
			t.Fatalf("ran %q", log)
		}
		if kinds["start pod shop-web-1"] != StepSkipped || kinds["create pod shop-web-1"] != StepEnded {
			t.Fatalf("reported %v", kinds)
		}
	}
}

func TestRunJoinsErrors(t *testing.T) {
	f := &enginetest.Fake{Fail: func(c string) error {
		if strings.HasPrefix(c, "create pod") {
			return errBoom
		}
		return nil
	}}
	plan := mustDiff(t, parseWish(t, []byte("service a\nservice b")), parseObserved(t, nil), UpOptions{})
	want := "cannot create pod shop-a-1: boom\ncannot create pod shop-b-1: boom"
	if err := Run(t.Context(), f, plan, nil); err == nil || err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}

// Two waits for one pod, that of --wait and that of a dependent, tell of its failure once.
func TestRunTellsOneFailureOnce(t *testing.T) {
	f := &enginetest.Fake{Fail: func(c string) error {
		if strings.HasPrefix(c, "wait pod shop-db-1") {
			return &api.WaitError{Pod: api.Pod{Spec: api.PodSpec{Name: "shop-db-1"}}, Until: api.Healthy, Reason: "is unhealthy"}
		}
		return nil
	}}
	plan := mustDiff(t, parseWish(t, []byte(shop)), parseObserved(t, nil), UpOptions{Wait: true})
	waits := 0
	for _, s := range plan.Steps {
		if w := s.Key; w.Verb == "wait" && w.Name == "shop-db-1" {
			waits++
		}
	}
	want := `container shop-db-1 is unhealthy`
	if err := Run(t.Context(), f, plan, nil); waits != 2 || err == nil || err.Error() != want {
		t.Fatalf("of %d waits got %v, want %s", waits, err, want)
	}
}

// What depends on an optional service is started although that never became healthy; the failure is a warning.
func TestRunOptional(t *testing.T) {
	d := parseWish(t, []byte("service cache health\nservice web needs=cache:healthy:optional"))
	f := failing("wait pod shop-cache-1 healthy")
	var warned []string
	err := Run(t.Context(), f, mustDiff(t, d, parseObserved(t, nil), UpOptions{}), func(e Event) {
		if e.Kind == Warned {
			warned = append(warned, e.Text)
		}
	})
	if err != nil || len(warned) != 1 || !slices.Contains(f.Log(), "start pod shop-web-1") {
		t.Fatalf("got %v, %q, %q", err, warned, f.Log())
	}
}

// The end of the context ends what runs and skips what does not run yet; it is told once.
func TestRunCancelled(t *testing.T) {
	d := parseWish(t, []byte("service db health\nservice web needs=db:healthy"))
	f := &enginetest.Fake{}
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	f.Fail = func(c string) error {
		if c == "wait pod shop-db-1 healthy" {
			cancel(interrupted)
		}
		return nil
	}
	err := Run(ctx, f, mustDiff(t, d, parseObserved(t, nil), UpOptions{}), nil)
	if !errors.Is(err, interrupted) || slices.Contains(f.Log(), "start pod shop-web-1") {
		t.Fatalf("got %v, %q", err, f.Log())
	}
}

// A wait that never comes true ends at its deadline.
func TestRunDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &enginetest.Fake{}
		f.Put(api.Pod{Spec: api.PodSpec{Name: "a", Group: "shop"}, Status: api.StatusCreated})
		wait := WaitPod{Name: "a", Until: api.Started, Timeout: time.Minute}
		begin := time.Now()
		err := Run(t.Context(), f, Plan{Steps: []Step{{Key: wait.Key(), Do: wait}}}, nil)
		if err == nil || !strings.Contains(err.Error(), "not done within 1m0s") || time.Since(begin) != time.Minute {
			t.Fatalf("after %s: %v", time.Since(begin), err)
		}
	})
}

// gate counts how many creations run at once.
type gate struct {
	enginetest.Fake
	mu        sync.Mutex
	now, most int
}

func (g *gate) CreatePod(ctx context.Context, spec api.PodSpec, img api.Image) error {
	g.mu.Lock()
	g.now++
	g.most = max(g.most, g.now)
	g.mu.Unlock()
	<-time.After(time.Second) // by the clock of synctest
	g.mu.Lock()
	g.now--
	g.mu.Unlock()
	return g.Fake.CreatePod(ctx, spec, img)
}

func TestRunLimit(t *testing.T) {
	d := parseWish(t, []byte(fmt.Sprint("service web replicas=", 3*heavyAtOnce)))
	plan := mustDiff(t, d, parseObserved(t, nil), UpOptions{NoStart: true})
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		if err := Run(t.Context(), g, plan, nil); err != nil || g.most != heavyAtOnce {
			t.Fatalf("%d at once, %v", g.most, err)
		}
	})
}
