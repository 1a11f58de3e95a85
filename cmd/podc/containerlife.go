package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"
	"podc.example/podc/api"
	"podc.example/podc/control"
)

func containerStartCommand(con *console) *cli.Command {
	no := refused{
		"attach,a":      "follow it by \"podc container logs -f\", or join it by \"podc container attach\"",
		"interactive,i": "join it by \"podc container attach\"",
		"detach-keys=":  "they are those of \"podc container attach\"",
		"checkpoint=":   "podc makes no checkpoints", "checkpoint-dir=": "podc makes no checkpoints",
	}
	return &cli.Command{
		Name: "start", Usage: "start containers", ArgsUsage: "CONTAINER...", Flags: no.flags(),
		Action: changes(con, func(s *session, c *cli.Context) error {
			if err := no.check(c); err != nil {
				return err
			}
			return s.eachContainer(c, s.podc.Containers.Start)
		}),
	}
}

// stopFlags are those of stop and restart.
func stopFlags() []cli.Flag {
	return []cli.Flag{
		text("signal", "`SIGNAL` to stop by, instead of the container's own", "s"),
		number("timeout", 0, "`SECONDS` that a container gets to stop; -1 for any time", "t", "time"),
	}
}

func stopOptions(c *cli.Context) control.StopOptions {
	return control.StopOptions{Signal: c.String("signal"), Timeout: seconds(c, "timeout")}
}

func containerStopCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "stop", Usage: "stop containers", ArgsUsage: "CONTAINER...", Flags: stopFlags(),
		Action: changes(con, func(s *session, c *cli.Context) error {
			opt := stopOptions(c)
			return s.eachContainer(c, func(ctx context.Context, ref string) error { return s.podc.Containers.Stop(ctx, ref, opt) })
		}),
	}
}

func containerRestartCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "restart", Usage: "stop containers and start them again", ArgsUsage: "CONTAINER...", Flags: stopFlags(),
		Action: changes(con, func(s *session, c *cli.Context) error {
			opt := stopOptions(c)
			return s.eachContainer(c, func(ctx context.Context, ref string) error { return s.podc.Containers.Restart(ctx, ref, opt) })
		}),
	}
}

func containerKillCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "kill", Usage: "send a signal to running containers", ArgsUsage: "CONTAINER...",
		Flags: []cli.Flag{textOr("signal", "SIGKILL", "`SIGNAL` to send", "s")},
		Action: changes(con, func(s *session, c *cli.Context) error {
			signal := c.String("signal")
			return s.eachContainer(c, func(ctx context.Context, ref string) error { return s.podc.Containers.Kill(ctx, ref, signal) })
		}),
	}
}

func containerPauseCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "pause", Usage: "freeze containers", ArgsUsage: "CONTAINER...",
		Action: changes(con, func(s *session, c *cli.Context) error {
			return s.eachContainer(c, s.podc.Containers.Pause)
		}),
	}
}

func containerUnpauseCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "unpause", Usage: "let paused containers go on", ArgsUsage: "CONTAINER...",
		Action: changes(con, func(s *session, c *cli.Context) error {
			return s.eachContainer(c, s.podc.Containers.Unpause)
		}),
	}
}

func containerWaitCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "wait", Usage: "wait until containers end, and print their exit codes", ArgsUsage: "CONTAINER...",
		Action: with(con, func(s *session, c *cli.Context) error {
			if err := needArgs(c, 1); err != nil {
				return err
			}
			return forEach(c, func(ctx context.Context, arg string) error {
				p, err := s.podc.Containers.Wait(ctx, arg, api.Stopped)
				if err == nil {
					fmt.Fprintln(con.out, p.ExitCode)
				}
				return err
			})
		}),
	}
}

func containerRemoveCommand(con *console) *cli.Command {
	no := refused{"link,l": "podc has no links between containers of the default network"}
	return &cli.Command{
		Name: "rm", Aliases: []string{"remove"}, Usage: "remove containers", ArgsUsage: "CONTAINER...",
		Flags: append([]cli.Flag{
			toggle("force", "kill those that run, and do not mind those that do not exist", "f"),
			toggle("volumes", "their anonymous volumes too", "v"),
		}, no.flags()...),
		Action: changes(con, func(s *session, c *cli.Context) error {
			if err := no.check(c); err != nil {
				return err
			}
			opt := api.RemoveOptions{Force: c.Bool("force"), Volumes: c.Bool("volumes")}
			err := s.eachContainer(c, func(ctx context.Context, ref string) error { return s.podc.Containers.Remove(ctx, ref, opt) })
			if opt.Force {
				err = onlyMissing(con, err)
			}
			return err
		}),
	}
}

// onlyMissing tells of things that do not exist without failing for them.
func onlyMissing(con *console, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(joined.Unwrap()), func(err error) bool {
		missing := errdefs.IsNotFound(err)
		if missing {
			warn(con, err.Error())
		}
		return missing
	})
	return errors.Join(rest...)
}

func containerPruneCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "prune", Usage: "remove all containers that do not run", Flags: pruneFlags("label, label!, until"),
		Action: changes(con, (*session).pruneContainers),
	}
}

func (s *session) pruneContainers(c *cli.Context) error {
	f, err := pruneFilters(c)
	if err != nil {
		return err
	}
	return s.prune(c, pruning{"all containers that do not run", "Deleted Containers", true, func(ctx context.Context) (control.Pruned, error) {
		return s.podc.Containers.Prune(ctx, f)
	}})
}
