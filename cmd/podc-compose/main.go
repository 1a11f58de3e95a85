// Command podc-compose loads compose projects for podc. It is a program of its own because compose-go is slow to start, and
// most podc commands do not need it.
//
//	podc-compose load              a podccompose.LoadRequest is answered with a podccompose.LoadReply: see package helper
//	podc-compose config [FLAGS]    prints a model, as `podc config` (flags: podccompose.ConfigFlags)
//
// Exit codes: 0, or 1 with a reason.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podccompose"
)

// maxCPU, in seconds, is more than any load can take that podc waits for.
const maxCPU = 120

func main() {
	// Most loads end before the first collection is worth its time; a project at the limits of package compose is to stay small.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(150 << 20)
	// Should podc be killed meanwhile, nobody ends this process by its deadline.
	unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: maxCPU, Max: maxCPU})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], helper.Standard())
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, s helper.Streams) int {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	var err error
	switch verb {
	case podccompose.Load:
		return helper.Serve(ctx, s, map[string]helper.Verb{podccompose.Load: helper.Answer(load)}, args)
	case podccompose.Config:
		err = config(ctx, args[1:], s.Stdin, s.Stdout, s.Stderr)
	default:
		err = fmt.Errorf("podc-compose is called by podc, with load or config")
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(s.Stderr, "podc:", err)
	if hint := fault.HintOf(err); hint != "" {
		fmt.Fprintln(s.Stderr, "hint:", hint)
	}
	return 1
}
