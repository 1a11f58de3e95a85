// Command podc-compose loads compose projects for podc. It is a program of its own because compose-go is slow to start, and
// most podc commands do not need it.
//
//	podc-compose load              a project.LoadRequest on standard input, a project.LoadReply on standard output
//	podc-compose config [FLAGS]    prints a model, as `podc config` (flags: project.ConfigFlags)
//
// Exit codes: 0, or 1 with a reason (for load, within the reply).
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/fault"
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
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	var err error
	switch verb {
	case "load":
		return load(ctx, stdin, stdout)
	case "config":
		err = config(ctx, args[1:], stdin, stdout, stderr)
	default:
		err = fmt.Errorf("podc-compose is called by podc, with load or config")
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "podc:", err)
	if hint := fault.HintOf(err); hint != "" {
		fmt.Fprintln(stderr, "hint:", hint)
	}
	return 1
}
