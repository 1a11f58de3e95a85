package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/engine"
	"podc.example/podc/internal/disk"
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
			return s.eachContainer(c, func(ctx context.Context, p engine.Pod) error { return s.engine.StartPod(ctx, p.Spec.Name) })
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

func containerStopCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "stop", Usage: "stop containers", ArgsUsage: "CONTAINER...", Flags: stopFlags(),
		Action: changes(con, func(s *session, c *cli.Context) error {
			return s.eachContainer(c, func(ctx context.Context, p engine.Pod) error {
				return s.engine.StopPodBy(ctx, p.Spec.Name, c.String("signal"), seconds(c, "timeout"))
			})
		}),
	}
}

func containerRestartCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "restart", Usage: "stop containers and start them again", ArgsUsage: "CONTAINER...", Flags: stopFlags(),
		Action: changes(con, func(s *session, c *cli.Context) error {
			return s.eachContainer(c, func(ctx context.Context, p engine.Pod) error {
				if err := s.engine.StopPodBy(ctx, p.Spec.Name, c.String("signal"), seconds(c, "timeout")); err != nil {
					return err
				}
				return tellingRestarts{s.engine}.StartPod(ctx, p.Spec.Name)
			})
		}),
	}
}

func containerKillCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "kill", Usage: "send a signal to running containers", ArgsUsage: "CONTAINER...",
		Flags: []cli.Flag{textOr("signal", "SIGKILL", "`SIGNAL` to send", "s")},
		Action: changes(con, func(s *session, c *cli.Context) error {
			return s.eachContainer(c, func(ctx context.Context, p engine.Pod) error {
				return s.engine.KillPod(ctx, p.Spec.Name, c.String("signal"))
			})
		}),
	}
}

func containerPauseCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "pause", Usage: "freeze containers", ArgsUsage: "CONTAINER...",
		Action: changes(con, func(s *session, c *cli.Context) error {
			return s.eachContainer(c, func(ctx context.Context, p engine.Pod) error { return s.engine.PausePod(ctx, p.Spec.Name) })
		}),
	}
}

func containerUnpauseCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "unpause", Usage: "let paused containers go on", ArgsUsage: "CONTAINER...",
		Action: changes(con, func(s *session, c *cli.Context) error {
			return s.eachContainer(c, func(ctx context.Context, p engine.Pod) error { return s.engine.UnpausePod(ctx, p.Spec.Name) })
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
				p, err := s.container(arg)
				if err != nil {
					return err
				}
				if err := s.engine.WaitPod(ctx, p.Spec.Name, engine.Stopped); err != nil {
					return err
				}
				if p, err = s.engine.Pod(p.Spec.Name); err != nil {
					return err
				}
				fmt.Fprintln(con.out, p.ExitCode)
				return nil
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
			opt := engine.RemoveOptions{Force: c.Bool("force"), Volumes: c.Bool("volumes")}
			err := s.eachContainer(c, func(ctx context.Context, p engine.Pod) error { return s.engine.RemovePod(ctx, p.Spec.Name, opt) })
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
	f, err := filtersOf(c, "label", "label!", "until")
	if err != nil {
		return err
	}
	until, err := f.until(time.Now())
	if err != nil || !pruneAgreed(s.con, c, "all containers that do not run") {
		return err
	}
	pods, err := s.engine.Pods("")
	if err != nil {
		return err
	}
	byID := map[string]engine.Pod{}
	var ids []string
	for _, p := range pods {
		rests := p.Status == engine.StatusExited || p.Status == engine.StatusCreated || p.Status == engine.StatusDead
		if rests && f.labelled(p.Spec.Labels) && (until.IsZero() || p.Created.Before(until)) {
			byID[p.ID] = p
			ids = append(ids, p.ID)
		}
	}
	var freed int64
	err = prune(c.Context, s.con, "Deleted Containers", ids, func(ctx context.Context, id string) error {
		bytes, err := disk.Usage(ctx, s.engine.Details(byID[id]).Upper)
		if err == nil {
			err = s.engine.RemovePod(ctx, byID[id].Spec.Name, engine.RemoveOptions{})
		}
		if err == nil {
			freed += bytes
		}
		return err
	})
	fmt.Fprintf(s.con.out, "Total reclaimed space: %s\n", size(freed))
	return err
}
