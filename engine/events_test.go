package engine

import (
	"slices"
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
