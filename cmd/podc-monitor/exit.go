package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"podc.example/podc/engine"
	"podc.example/podc/internal/disk"
)

// exitDeadline bounds the work after the end of a container. What it leaves undone, the monitor or the next command does.
const exitDeadline = 2 * time.Minute

// exitVerb is conmon's exit command. Nobody reads what it prints: an error goes into the monitor's log as well.
func exitVerb(args []string) error {
	r, args, err := parse("exit", args, 2, nil)
	if err != nil {
		return err
	}
	e, err := r.open()
	if err != nil {
		return err
	}
	pod, id := args[0], args[1]
	ctx, cancel := context.WithTimeoutCause(context.Background(), exitDeadline, errors.New("the exit handler's time is over"))
	defer cancel()
	err = e.Supervisor().HandleExit(ctx, pod, id)
	if err != nil {
		note(e, pod, err)
	}
	return err
}

func note(e *engine.Engine, pod string, cause error) {
	p, err := e.Pod(pod)
	if err != nil {
		return
	}
	f, err := disk.OpenAppend(filepath.Join(e.Monitors().Dir(p.Spec.Group), "log"))
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "time=%s level=ERROR msg=\"exit handler\" err=%q\n", time.Now().Format(time.RFC3339), cause)
}
