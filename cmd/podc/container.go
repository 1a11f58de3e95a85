package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// containerCommand has docker's verbs for single containers, of whatever project, by name, id, or the beginning of an id.
func containerCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "container", Usage: "manage containers by name or id",
		Subcommands: []*cli.Command{
			containerListCommand(con), containerInspectCommand(con), containerStartCommand(con), containerStopCommand(con),
			containerRestartCommand(con), containerKillCommand(con), containerPauseCommand(con), containerUnpauseCommand(con),
			containerWaitCommand(con), containerRemoveCommand(con), containerPruneCommand(con), containerExecCommand(con),
			containerLogsCommand(con), containerPortCommand(con), containerTopCommand(con), containerCopyCommand(con), containerExportCommand(con), containerCommitCommand(con), containerAttachCommand(con), containerStatsCommand(con),
		},
	}
}

// container finds a container by its name, its id or the beginning of that.
func (s *session) container(arg string) (api.Pod, error) {
	return s.podc.Containers.Get(s.flags.Context, arg)
}

// atOnce is how many containers a command works on at the same time.
const atOnce = 50

// eachContainer does something with every container named, many at once, prints what docker prints, the argument, and goes on
// after errors, which it joins.
func (s *session) eachContainer(c *cli.Context, do func(ctx context.Context, ref string) error) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	args := c.Args().Slice()
	errs := make([]error, len(args))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, arg := range args {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(c.Context, arg)
		})
	}
	wg.Wait()
	for i, arg := range args {
		if errs[i] == nil {
			fmt.Fprintln(s.con.out, arg)
		}
	}
	return errors.Join(errs...)
}

// refused are flags of docker that podc does not have, and why: "name", "name,n" or, if they take a value, "name=".
type refused map[string]string

// flags makes them known, so that they are refused by name.
func (r refused) flags() []cli.Flag {
	var flags []cli.Flag
	for _, name := range slices.Sorted(maps.Keys(r)) {
		name, takes := strings.CutSuffix(name, "=")
		name, letter, _ := strings.Cut(name, ",")
		var f cli.Flag = toggle(name, "", nonEmpty(letter)...)
		if takes {
			f = text(name, "", nonEmpty(letter)...)
		}
		flags = append(flags, hidden(f))
	}
	return flags
}

// check refuses those that are given.
func (r refused) check(c *cli.Context) error {
	for _, key := range slices.Sorted(maps.Keys(r)) {
		name, _ := strings.CutSuffix(key, "=")
		if name, _, _ = strings.Cut(name, ","); c.IsSet(name) {
			return fault.New(errdefs.ErrNotImplemented, "--%s is not available: %s", name, r[key])
		}
	}
	return nil
}
