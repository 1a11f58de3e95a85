package engine

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

func TestADamagedRecordHarmsOnePod(t *testing.T) {
	for name, damage := range map[string]string{
		"empty": "", "half": `{"id": "abc`, "other": `{"id": "` + strings.Repeat("a", 64) + `", "spec": {"name": "good"}}`, "no id": `{"id": "../../x", "spec": {"name": "bad"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			e := plainEngine(t)
			bad, good := put(t, e, "bad", api.StatusExited), put(t, e, "good", api.StatusExited)
			bad.Volumes = map[string]string{"/data": "precious"}
			if err := bad.save(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(e.paths.spec("bad"), []byte(damage), 0o600); err != nil {
				t.Fatal(err)
			}
			pods, err := e.Pods("t")
			if err != nil || len(pods) != 2 || pods[0].Status != api.StatusDead || pods[0].ID != bad.ID || pods[1].ID != good.ID {
				t.Fatalf("pods: %+v, %v", pods, err)
			}
			if err := e.StartPod(t.Context(), "bad"); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("start: %v", err)
			}
			if err := e.RemoveVolume(t.Context(), "precious"); !errdefs.IsFailedPrecondition(err) {
				t.Errorf("its volume: %v", err)
			}
			found, err := e.Checker().findings(true)
			if err != nil || len(found) != 1 || found[0].Object != "bad" || !found[0].drastic {
				t.Errorf("found: %+v, %v", found, err)
			}
			if err := found[0].mend(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left, _ := listDir(e.paths.pods()); len(left) != 1 || left[0] != "good" {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// With both files gone nothing is known of a pod but its name, and nothing that is anybody else's may be taken for its own.
func TestAPodOfWhichNothingIsKnownCanBeRemoved(t *testing.T) {
	e := plainEngine(t)
	put(t, e, "bad", api.StatusExited)
	other := put(t, e, "good", api.StatusExited)
	for _, path := range []string{e.paths.spec("bad"), e.paths.state("bad")} {
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(e.paths.runtime()+"/"+other.ID, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := e.RemovePod(t.Context(), "bad", api.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(e.paths.runtime() + "/" + other.ID); err != nil {
		t.Errorf("another pod's: %v", err)
	}
	if left, _ := listDir(e.paths.pods()); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}

// The container runs on, and what podc needs to know of it is found elsewhere.
func TestALostStateIsFoundAgain(t *testing.T) {
	e := realEngine(t)
	mustRun(t, e, shell("a", "exec sleep 1000"), busybox(t))
	before, err := e.Pod("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []func(path string) error{
		func(path string) error { return os.Truncate(path, 0) },
		func(path string) error { return os.Truncate(path, 20) },
		os.Remove,
	} {
		if err := damage(e.paths.state("a")); err != nil {
			t.Fatal(err)
		}
		if now, err := e.Pod("a"); err != nil || now.Status != api.StatusRunning || now.Pid != before.Pid {
			t.Errorf("pod: %+v, %v", now, err)
		}
		if err := e.StartPod(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if now, err := e.Pod("a"); err != nil || now.Pid != before.Pid || !now.Started.Equal(before.Started) {
			t.Errorf("pod: %+v, %v", now, err)
		}
		if problems, err := e.Checker().Check(t.Context()); err != nil || len(problems) > 0 {
			t.Errorf("problems: %+v, %v", problems, err)
		}
	}
	if err := e.StopPod(t.Context(), "a", new(time.Duration(0))); err != nil {
		t.Error(err)
	}
}
