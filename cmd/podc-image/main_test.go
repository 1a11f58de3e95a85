package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"go.podman.io/storage/pkg/reexec"

	"podc.example/podc/engine"
	"podc.example/podc/internal/testimage"
)

func TestMain(m *testing.M) {
	if reexec.Init() {
		return
	}
	os.Exit(m.Run())
}

// call runs the program in-process and decodes its reply; a failure comes back as an error.
func call[T any](t *testing.T, stdin []byte, args ...string) (reply T, events []engine.ImageEvent, err error) {
	t.Helper()
	var out, log bytes.Buffer
	code := run(t.Context(), args, bytes.NewReader(stdin), &out, &log)
	for line := range strings.Lines(log.String()) {
		var e engine.ImageEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("stderr line %q: %v", line, err)
		}
		events = append(events, e)
	}
	if code != 0 {
		var f engine.ImageFailure
		if err := json.Unmarshal(out.Bytes(), &f); err != nil || f.Fault == nil {
			t.Fatalf("exit %d, stdout %q: %v", code, out.String(), err)
		}
		return reply, events, f.Fault
	}
	if err := json.Unmarshal(out.Bytes(), &reply); err != nil {
		t.Fatalf("stdout %q: %v", out.String(), err)
	}
	return reply, events, nil
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"--nonsense", "ls"}, {"frobnicate"}, {"ls", "extra"}, {"rm"}, {"pull"}, {"pull", "--policy", "sometimes", "x"},
		{"resolve", "--pin", "x"}, {"unpin"}, {"tag", "one"},
	} {
		_, _, err := call[engine.ListReply](t, nil, append([]string{"--root", t.TempDir(), "--runroot", t.TempDir()}, args...)...)
		if !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestStack plays what podc asks for between `load` and `down`, with the real images.
func TestStack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an image store needs root")
	}
	dir := t.TempDir()
	ask := func(args ...string) []string {
		return append([]string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run")}, args...)
	}
	for _, image := range []string{testimage.Busybox, testimage.Probe} {
		path, err := testimage.Build(context.Background(), image)
		if err != nil {
			t.Skip(err)
		}
		reply, events, err := call[engine.LoadReply](t, nil, ask("load", "-i", path)...)
		if err != nil || len(reply.Images) != 1 || reply.Images[0].Names[0] != testimage.Ref(image) {
			t.Fatal(reply, err)
		}
		if last := events[len(events)-1]; last.Status != "Done" || last.Percent != 100 {
			t.Errorf("last event %+v", last)
		}
	}
	busybox, probe := testimage.Ref(testimage.Busybox), testimage.Ref(testimage.Probe)
	got, _, err := call[engine.ResolveReply](t, nil, ask("resolve", "--group", "shop", "--pin", busybox, probe, "nothing")...)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Images) != 2 || len(got.Missing) != 1 || len(got.Inputs) == 0 {
		t.Fatalf("%+v", got)
	}
	if _, err := os.Stat(filepath.Join(got.Images[busybox].Layers[0], "usr/bin/busybox")); err != nil {
		t.Error(err)
	}
	for _, in := range got.Inputs {
		if !in.Fresh() {
			t.Errorf("%s is stale at once", in.Path)
		}
	}
	if _, _, err := call[engine.RemoveReply](t, nil, ask("rm", busybox)...); !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "shop") {
		t.Errorf("rm of a pinned image: %v", err)
	}
	if _, _, err := call[engine.UnpinReply](t, nil, ask("unpin", "--group", "shop")...); err != nil {
		t.Fatal(err)
	}
	rm, _, err := call[engine.RemoveReply](t, nil, ask("rm", busybox, probe)...)
	if err != nil || len(rm.Deleted) != 2 {
		t.Fatal(rm, err)
	}
	check, _, err := call[engine.CheckReply](t, nil, ask("check", "--deep")...)
	if err != nil || len(check.Problems) != 0 {
		t.Errorf("%+v %v", check, err)
	}
}
