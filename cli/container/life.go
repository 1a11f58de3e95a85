package container

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
)

func containerStartCommand(con *show.Console) *cli.Command {
	no := command.Refused{
		"attach,a":      "follow it by \"podc container logs -f\", or join it by \"podc container attach\"",
		"interactive,i": "join it by \"podc container attach\"",
		"detach-keys=":  "they are those of \"podc container attach\"",
		"checkpoint=":   "podc makes no checkpoints", "checkpoint-dir=": "podc makes no checkpoints",
	}
	return &cli.Command{
		Name: "start", Usage: "start containers", ArgsUsage: "CONTAINER...", Flags: no.Flags(),
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			if err := no.Check(c); err != nil {
				return err
			}
			return s.EachContainer(c, s.Podc.Containers.Start)
		}),
	}
}

// stopFlags are those of stop and restart.
func stopFlags() []cli.Flag {
	return []cli.Flag{
		command.Text("signal", "`SIGNAL` to stop by, instead of the container's own", "s"),
		command.Number("timeout", 0, "`SECONDS` that a container gets to stop; -1 for any time", "t", "time"),
	}
}

func stopOptions(c *cli.Context) control.StopOptions {
	return control.StopOptions{Signal: c.String("signal"), Timeout: command.Seconds(c, "timeout")}
}

func containerStopCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "stop", Usage: "stop containers", ArgsUsage: "CONTAINER...", Flags: stopFlags(),
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			opt := stopOptions(c)
			return s.EachContainer(c, func(ctx context.Context, ref string) error { return s.Podc.Containers.Stop(ctx, ref, opt) })
		}),
	}
}

func containerRestartCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "restart", Usage: "stop containers and start them again", ArgsUsage: "CONTAINER...", Flags: stopFlags(),
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			opt := stopOptions(c)
			return s.EachContainer(c, func(ctx context.Context, ref string) error { return s.Podc.Containers.Restart(ctx, ref, opt) })
		}),
	}
}

func containerKillCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "kill", Usage: "send a signal to running containers", ArgsUsage: "CONTAINER...",
		Flags: []cli.Flag{command.TextOr("signal", "SIGKILL", "`SIGNAL` to send", "s")},
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			signal := c.String("signal")
			return s.EachContainer(c, func(ctx context.Context, ref string) error { return s.Podc.Containers.Kill(ctx, ref, signal) })
		}),
	}
}

func containerPauseCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "pause", Usage: "freeze containers", ArgsUsage: "CONTAINER...",
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			return s.EachContainer(c, s.Podc.Containers.Pause)
		}),
	}
}

func containerUnpauseCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "unpause", Usage: "let paused containers go on", ArgsUsage: "CONTAINER...",
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			return s.EachContainer(c, s.Podc.Containers.Unpause)
		}),
	}
}

func containerWaitCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "wait", Usage: "wait until containers end, and print their exit codes", ArgsUsage: "CONTAINER...",
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if err := command.NeedArgs(c, 1); err != nil {
				return err
			}
			return command.ForEach(c, func(ctx context.Context, arg string) error {
				p, err := s.Podc.Containers.Wait(ctx, arg, api.Stopped)
				if err == nil {
					fmt.Fprintln(con.Out, p.ExitCode)
				}
				return err
			})
		}),
	}
}

func containerRemoveCommand(con *show.Console) *cli.Command {
	no := command.Refused{"link,l": "podc has no links between containers of the default network"}
	return &cli.Command{
		Name: "rm", Aliases: []string{"remove"}, Usage: "remove containers", ArgsUsage: "CONTAINER...",
		Flags: append([]cli.Flag{
			command.Toggle("force", "kill those that run, and do not mind those that do not exist", "f"),
			command.Toggle("volumes", "their anonymous volumes too", "v"),
		}, no.Flags()...),
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			if err := no.Check(c); err != nil {
				return err
			}
			opt := api.RemoveOptions{Force: c.Bool("force"), Volumes: c.Bool("volumes")}
			err := s.EachContainer(c, func(ctx context.Context, ref string) error { return s.Podc.Containers.Remove(ctx, ref, opt) })
			if opt.Force {
				err = onlyMissing(con, err)
			}
			return err
		}),
	}
}

// onlyMissing tells of things that do not exist without failing for them.
func onlyMissing(con *show.Console, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(joined.Unwrap()), func(err error) bool {
		missing := errdefs.IsNotFound(err)
		if missing {
			show.Warn(con, err.Error())
		}
		return missing
	})
	return errors.Join(rest...)
}

func containerPruneCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "prune", Usage: "remove all containers that do not run", Flags: command.PruneFlags("label, label!, until"),
		Action: command.Changes(con, pruneContainers),
	}
}

func pruneContainers(s *command.Session, c *cli.Context) error {
	f, err := command.PruneFilters(c)
	if err != nil {
		return err
	}
	return s.Prune(c, command.Pruning{What: "all containers that do not run", Title: "Deleted Containers", Frees: true, Do: func(ctx context.Context) (control.Pruned, error) {
		return s.Podc.Containers.Prune(ctx, f)
	}})
}
