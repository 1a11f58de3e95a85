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

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podcimage"
	"podc.example/podc/internal/testimage"
)

func TestMain(m *testing.M) {
	if reexec.Init() {
		return
	}
	os.Exit(m.Run())
}

// call asks the program in-process; a fault that it answers with comes back as an error.
func call[R any](t *testing.T, dir, verb string, request any) (reply R, events []api.Progress, err error) {
	t.Helper()
	question, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	args := []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), verb}
	code := run(t.Context(), args, helper.Streams{Request: bytes.NewReader(question), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &log})
	for line := range strings.Lines(log.String()) {
		var e api.Progress
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("stderr line %q: %v", line, err)
		}
		events = append(events, e)
	}
	answer := struct {
		Reply *R
		Fault *fault.Fault
	}{Reply: &reply}
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || (code != 0) != (answer.Fault != nil) {
		t.Fatalf("exit %d, stdout %q: %v", code, out.String(), err)
	}
	if answer.Fault != nil {
		return reply, events, answer.Fault
	}
	return reply, events, nil
}

func TestQuestionsThatMakeNoSense(t *testing.T) {
	for verb, request := range map[string]any{
		"": nil, "frobnicate": nil, "--nonsense": nil, podcimage.Load: 7, podcimage.Unpin: podcimage.UnpinRequest{},
		podcimage.Pull: podcimage.PullRequest{Ref: "x", Policy: "sometimes"},
	} {
		if _, _, err := call[podcimage.ImagesReply](t, t.TempDir(), verb, request); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", verb, err)
		}
	}
}

// TestStack plays what podc asks for between `load` and `down`, with the real images.
func TestStack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an image store needs root")
	}
	dir := t.TempDir()
	for _, image := range []string{testimage.Busybox, testimage.Probe} {
		path, err := testimage.Build(context.Background(), image)
		if err != nil {
			t.Skip(err)
		}
		reply, events, err := call[podcimage.ImagesReply](t, dir, podcimage.Load, podcimage.LoadRequest{File: path})
		if err != nil || len(reply.Images) != 1 || reply.Images[0].Names[0] != testimage.Ref(image) {
			t.Fatal(reply, err)
		}
		if last := events[len(events)-1]; last.Status != "Done" || last.Percent != 100 {
			t.Errorf("last event %+v", last)
		}
	}
	busybox, probe := testimage.Ref(testimage.Busybox), testimage.Ref(testimage.Probe)
	got, _, err := call[podcimage.ResolveReply](t, dir, podcimage.Resolve, podcimage.ResolveRequest{Refs: []string{busybox, probe, "nothing"}, Pin: "shop"})
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
	if _, _, err := call[podcimage.RemoveReply](t, dir, podcimage.Remove, podcimage.RemoveRequest{Refs: []string{busybox}}); !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "shop") {
		t.Errorf("rm of a pinned image: %v", err)
	}
	if _, _, err := call[podcimage.UnpinReply](t, dir, podcimage.Unpin, podcimage.UnpinRequest{Group: "shop"}); err != nil {
		t.Fatal(err)
	}
	rm, _, err := call[podcimage.RemoveReply](t, dir, podcimage.Remove, podcimage.RemoveRequest{Refs: []string{busybox, probe}})
	if err != nil || len(rm.Deleted) != 2 {
		t.Fatal(rm, err)
	}
	check, _, err := call[podcimage.CheckReply](t, dir, podcimage.Check, podcimage.CheckRequest{Deep: true})
	if err != nil || len(check.Problems) != 0 {
		t.Errorf("%+v %v", check, err)
	}
}
