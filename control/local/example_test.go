package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/control/local"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/internal/rootkey"
	"podc.example/podc/internal/testimage"
	"podc.example/podc/project"
)

// example is podc without its command line: it brings the project of a compose file up, shows what its containers say and what a
// command in one of them does, and takes it down.
func example(ctx context.Context, podc *control.Control, cfg local.Config, out *os.File) (err error) {
	key, _, err := rootkey.Of(cfg.Root)
	if err != nil {
		return err
	}
	compose := podccompose.Client{Key: key, Helper: helper.Program{
		Path: filepath.Join(cfg.Helpers, podccompose.Program), Dir: cfg.Dir, Env: cfg.Env, Deadline: podccompose.Deadline,
	}}
	p, err := compose.Load(ctx, podccompose.LoadRequest{Files: []string{"compose.yaml"}, Store: cfg.Root}, podccompose.Whole)
	if err != nil {
		return err
	}
	watch := control.Watch{Report: func(e project.Event) {
		if e.Kind == project.StepEnded {
			fmt.Fprintln(out, e.Step.Key)
		}
	}}
	if err := podc.Projects.Up(ctx, *p.Desired, control.UpOptions{UpOptions: project.UpOptions{Wait: true}}, watch); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		opt := control.LogOptions{Follow: true, Tail: -1}
		ended <- podc.Streams.Logs(ctx, control.Selection{Group: p.Name}, opt, control.LogOutput{Lines: func(lines []control.Line) {
			for _, l := range lines {
				fmt.Fprintf(out, "%s: %s\n", l.Pod, l.Text)
			}
		}})
	}()
	for _, service := range p.Services {
		pods, err := podc.Containers.List(ctx, control.Selection{Group: p.Name, Services: []string{service.Name}})
		for _, pod := range pods {
			run := api.ExecOptions{Args: []string{"sh", "-c", "echo this is $HOSTNAME; echo visited > /proc/1/fd/1"}}
			_, failed := podc.Streams.Exec(ctx, pod.ID, run, control.ExecStreams{Out: out, Err: out})
			err = errors.Join(err, failed)
		}
		if err != nil {
			return err
		}
	}
	err = podc.Projects.Down(ctx, *p.Desired, project.DownOptions{Volumes: true}, watch)
	return errors.Join(err, <-ended) // with the last container
}

func TestExample(t *testing.T) {
	podc, cfg := open(t)
	file := fmt.Sprintf(`
name: shop
services:
  db: {image: %[1]s, hostname: first, init: true, command: "sh -c 'echo ready; sleep 1000'"}
  web: {image: %[1]s, hostname: second, init: true, command: "sh -c 'echo ready; sleep 1000'", depends_on: [db]}
`, testimage.Ref(testimage.Busybox))
	if err := os.WriteFile(filepath.Join(cfg.Dir, "compose.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(cfg.Dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := example(t.Context(), podc, cfg, out); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"start pod shop-web-1", "shop-db-1: ready", "this is first", "this is second", "shop-web-1: visited", "remove pod shop-db-1"} {
		if !strings.Contains(string(got), want+"\n") {
			t.Errorf("%q is not in %s", want, got)
		}
	}
	if problems, _, err := podc.System.Check(t.Context(), false); err != nil || len(problems) > 0 {
		t.Errorf("left behind: %v, %v", problems, err)
	}
}
