package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"podc.example/podc/api"
)

// eventsOf lists what the journal has of a pod, as "action[ key=value]".
func eventsOf(t *testing.T, e *Engine, name string) []string {
	t.Helper()
	var list []string
	err := e.Events(t.Context(), api.EventOptions{Since: time.Unix(1, 0)}, func(ev api.Event) error {
		if ev.Pod != name {
			return nil
		}
		s := ev.Action
		for _, key := range []string{"exitCode", "signal"} {
			if v := ev.Attributes[key]; v != "" {
				s += " " + key + "=" + v
			}
		}
		list = append(list, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestTheJournalTellsTheLifeOfAPod(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	spec := shell("p", `trap '' USR2; trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done`)
	spec.Labels = map[string]string{"k": "v"}
	mustRun(t, e, spec, img)
	awaitOutput(t, e, "p", "up")
	for _, err := range []error{e.PausePod(t.Context(), "p"), e.UnpausePod(t.Context(), "p"), e.KillPod(t.Context(), "p", "USR2"), e.StopPod(t.Context(), "p", nil),
		e.StopPod(t.Context(), "p", nil), e.RemovePod(t.Context(), "p", api.RemoveOptions{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := eventsOf(t, e, "p")
	want := []string{"create", "start", "pause", "unpause", "kill signal=12", "kill signal=15", "die exitCode=3", "stop", "destroy"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestEachEndOfARestartingPodIsToldOnce(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	spec := shell("p", `exit 4`)
	spec.Container.Restart = api.RestartPolicy{Name: "on-failure", MaxRetries: 2}
	mustRun(t, e, spec, img)
	outcome(t, e, "p")
	if _, err := e.Refresh(t.Context(), "p"); err != nil { // an end shows before it is on record
		t.Fatal(err)
	}
	want := []string{"create", "start", "die exitCode=4", "start", "die exitCode=4", "start", "die exitCode=4"}
	if got := eventsOf(t, e, "p"); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func journalEngine(t *testing.T) *Engine {
	t.Helper()
	dir := t.TempDir()
	e, err := Open(Config{Root: dir, RunRoot: filepath.Join(dir, "run"), Helpers: dir})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAFollowerMissesNoEventWhileTheJournalIsRenewed(t *testing.T) {
	e := journalEngine(t)
	const writers, each = 4, 3000 // of 1 kB: several journals
	pad := strings.Repeat("x", 1000)
	done := errors.New("all seen")
	seen := map[string]int{}
	began := make(chan struct{})
	beginning := sync.OnceFunc(func() { close(began) })
	unread := make(chan struct{}, 1000) // a reader is not overtaken by a whole journal
	result := make(chan error, 1)
	go func() {
		result <- e.Events(t.Context(), api.EventOptions{Follow: true, Group: "g"}, func(ev api.Event) error {
			if ev.Action == "begin" {
				beginning()
				return nil
			}
			seen[ev.Action]++
			<-unread
			if len(seen) == writers*each {
				return done
			}
			return nil
		})
	}()
	// The follower is there once it has made the folder and has seen a first event.
	for {
		e.journal(api.Event{Time: time.Now(), Action: "begin", Group: "g"})
		select {
		case <-began:
		case <-time.After(10 * time.Millisecond):
			continue
		}
		break
	}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				unread <- struct{}{}
				e.journal(api.Event{Time: time.Now(), Action: fmt.Sprintf("%d-%d", w, i), Group: "g", Attributes: map[string]string{"pad": pad}})
				e.journal(api.Event{Time: time.Now(), Action: "other", Group: "h"})
			}
		})
	}
	select {
	case err := <-result:
		if !errors.Is(err, done) {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%d of %d events seen", len(seen), writers*each)
	}
	writing.Wait() // for what the follower does not ask for
	for action, n := range seen {
		if n != 1 {
			t.Errorf("%s was seen %d times", action, n)
		}
	}
	// Others append to a full one until its writer, wherever the kernel keeps it waiting, has renamed it.
	for _, path := range []string{e.paths.journal(), chainPath(e.paths.journal(), 1)} {
		if fi, err := os.Stat(path); err != nil || fi.Size() > journalLimit*3/2 {
			t.Errorf("%s: %v, %v", path, fi, err)
		}
	}
	if left, _ := listDir(filepath.Dir(e.paths.journal())); len(left) > 2 {
		t.Errorf("the journal has grown to %q", left)
	}
}

func TestEventsAreChosenByTime(t *testing.T) {
	e := journalEngine(t)
	base := time.Now().Add(-time.Hour)
	for i := range 5 {
		e.journal(api.Event{Time: base.Add(time.Duration(i) * time.Minute), Action: fmt.Sprint(i)})
	}
	f, err := appendTo(e.paths.journal())
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("{torn\n")
	f.Close()
	var got []string
	collect := func(ev api.Event) error { got = append(got, ev.Action); return nil }
	if err := e.Events(t.Context(), api.EventOptions{Since: base.Add(time.Minute), Until: base.Add(3 * time.Minute)}, collect); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("got %q", got)
	}
	// A future end stops a follower without an event.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := e.Events(ctx, api.EventOptions{Until: time.Now().Add(50 * time.Millisecond), Follow: true}, collect); err != nil {
		t.Error(err)
	}
}
func BenchmarkJournal(b *testing.B) {
	dir := b.TempDir()
	e, err := Open(Config{Root: dir, RunRoot: dir + "/run", Helpers: dir})
	if err != nil {
		b.Fatal(err)
	}
	p := api.Pod{ID: NewID(), Created: time.Now()}
	p.Spec.Name, p.Spec.Group = "shop-web-1", "shop"
	p.Spec.Labels = map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "com.docker.compose.config-hash": NewID(), "io.podc.facets": NewID() + NewID()}
	for b.Loop() {
		e.NoteEvent(p, "start", nil)
	}
}
