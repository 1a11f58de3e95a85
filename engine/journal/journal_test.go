package journal

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
	"podc.example/podc/internal/kernel"
)

func TestAFollowerMissesNoEventWhileTheJournalIsRenewed(t *testing.T) {
	j := Open(filepath.Join(t.TempDir(), "events", "journal"), new(kernel.Watcher))
	const writers, each = 4, 3000 // of 1 kB: several journals
	pad := strings.Repeat("x", 1000)
	done := errors.New("all seen")
	seen := map[string]int{}
	began := make(chan struct{})
	beginning := sync.OnceFunc(func() { close(began) })
	unread := make(chan struct{}, 1000) // a reader is not overtaken by a whole journal
	result := make(chan error, 1)
	go func() {
		result <- j.Events(t.Context(), api.EventOptions{Follow: true, Group: "g"}, func(ev api.Event) error {
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
		j.append(api.Event{Time: time.Now(), Action: "begin", Group: "g"})
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
				j.append(api.Event{Time: time.Now(), Action: fmt.Sprintf("%d-%d", w, i), Group: "g", Attributes: map[string]string{"pad": pad}})
				j.append(api.Event{Time: time.Now(), Action: "other", Group: "h"})
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
	for _, path := range []string{j.path, older(j.path)} {
		if fi, err := os.Stat(path); err != nil || fi.Size() > limit*3/2 {
			t.Errorf("%s: %v, %v", path, fi, err)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(j.path)); len(left) > 2 {
		t.Errorf("the journal has grown to %q", left)
	}
}

func TestEventsAreChosenByTime(t *testing.T) {
	j := Open(filepath.Join(t.TempDir(), "events", "journal"), new(kernel.Watcher))
	base := time.Now().Add(-time.Hour)
	for i := range 5 {
		j.append(api.Event{Time: base.Add(time.Duration(i) * time.Minute), Action: fmt.Sprint(i)})
	}
	f, err := appendTo(j.path)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("{torn\n")
	f.Close()
	var got []string
	collect := func(ev api.Event) error { got = append(got, ev.Action); return nil }
	if err := j.Events(t.Context(), api.EventOptions{Since: base.Add(time.Minute), Until: base.Add(3 * time.Minute)}, collect); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("got %q", got)
	}
	// A future end stops a follower without an event.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := j.Events(ctx, api.EventOptions{Until: time.Now().Add(50 * time.Millisecond), Follow: true}, collect); err != nil {
		t.Error(err)
	}
}

func BenchmarkJournal(b *testing.B) {
	j := Open(filepath.Join(b.TempDir(), "events", "journal"), new(kernel.Watcher))
	hash := strings.Repeat("0123456789abcdef", 4)
	p := api.Pod{ID: hash, Created: time.Now()}
	p.Spec.Name, p.Spec.Group = "shop-web-1", "shop"
	p.Spec.Labels = map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "com.docker.compose.config-hash": hash, "io.podc.facets": hash + hash}
	for b.Loop() {
		j.NoteEvent(p, "start", nil)
	}
}
