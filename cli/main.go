// Package cli is podc's command line, over package control alone: flags become options, options become one call, and what comes back
// is shown. Each noun has a room below with one constructor a command; what they share is in cli/command, how things look in cli/show.
package cli

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
)

// Main runs podc with the arguments and the surroundings of this process, and ends that. connect opens podc at its roots.
func Main(connect func(con *show.Console, root, runRoot string) (*control.Control, error)) {
	cli.HelpFlag = command.Toggle("help", "show help", "h")
	cli.SubcommandHelpTemplate = strings.Replace(cli.SubcommandHelpTemplate, "DESCRIPTION", "EXAMPLES", 1)
	con := show.SystemConsole()
	con.Connect = connect
	ctx, again := interruptible(context.Background())
	con.SecondSignal = again
	os.Exit(run(ctx, con, os.Args[1:]))
}

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP ends. The second SIGINT or SIGTERM ends the process at
// once, for when winding down takes too long; unless again was called, whose channel it closes then.
func interruptible(parent context.Context) (ctx context.Context, again func() <-chan struct{}) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	second := make(chan struct{})
	var claimed atomic.Bool
	go func() {
		// Here and not before, since it takes an eighth of what a quick command does.
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		for asked := 0; asked < 2; {
			sig := <-signals
			cancel(command.ErrInterrupted)
			if sig != syscall.SIGHUP { // which comes along with others when a login or a terminal ends
				asked++
			}
		}
		if !claimed.Load() {
			os.Exit(command.ExitInterrupted)
		}
		close(second)
	}()
	return ctx, func() <-chan struct{} {
		claimed.Store(true)
		return second
	}
}

// run is the whole program but for the process around it: it returns the exit code.
func run(ctx context.Context, con *show.Console, args []string) int {
	if len(args) > 0 && args[0] == completeWord {
		complete(ctx, con, args[1:])
		return 0
	}
	root := allCommands(con, args)
	w, err := command.Arguments(root, args)
	for _, warning := range w.Warnings {
		show.Warn(con, warning)
	}
	asJSON := false
	if err == nil {
		app := root.App(con)
		app.Before = func(c *cli.Context) error {
			asJSON = cmp.Or(c.String("progress"), con.Env["COMPOSE_PROGRESS"]) == string(show.ProgressJSON)
			if text := command.Ignored(c); text != "" {
				show.Warn(con, text)
			}
			return nil
		}
		err = app.RunContext(ctx, w.Argv)
	}
	if err != nil && errors.Is(context.Cause(ctx), command.ErrInterrupted) && !fault.IsSilent(err) {
		err = command.ErrInterrupted
	}
	command.Report(con.Err, err, asJSON)
	return fault.ExitOf(err)
}
