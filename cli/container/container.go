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

// ContainerCommand has docker's verbs for single containers, of whatever project, by name, id, or the beginning of an id.
func ContainerCommand() *command.Command {
	stopFlags := []*command.Flag{
		command.Text("signal", command.Signal, "SIGNAL to stop by, instead of the container's own", "s"),
		command.Number("timeout", 0, "SECONDS", "SECONDS that a container gets to stop; -1 for any time", "t", "time"),
	}
	signal := command.TextOr("signal", "SIGKILL", command.Signal, "SIGNAL to send", "s")
	start := verbCommand("start", "start containers", nil, func(s *command.Session, _ *cli.Context) verb { return s.Podc.Containers.Start })
	start.Refused = command.Refused{
		"attach,a":      "follow it by \"podc container logs -f\", or join it by \"podc container attach\"",
		"interactive,i": "join it by \"podc container attach\"",
		"detach-keys=":  "they are those of \"podc container attach\"",
		"checkpoint=":   "podc makes no checkpoints", "checkpoint-dir=": "podc makes no checkpoints",
	}
	return &command.Command{
		Name: "container", Usage: "manage containers by name or id",
		Subcommands: []*command.Command{
			containerListCommand(), containerInspectCommand(), start,
			verbCommand("stop", "stop containers", stopFlags, func(s *command.Session, c *cli.Context) verb {
				return func(ctx context.Context, ref string) error { return s.Podc.Containers.Stop(ctx, ref, stopOptions(c)) }
			}),
			verbCommand("restart", "stop containers and start them again", stopFlags, func(s *command.Session, c *cli.Context) verb {
				return func(ctx context.Context, ref string) error {
					return s.Podc.Containers.Restart(ctx, ref, stopOptions(c))
				}
			}),
			verbCommand("kill", "send a signal to running containers", []*command.Flag{signal}, func(s *command.Session, c *cli.Context) verb {
				return func(ctx context.Context, ref string) error {
					return s.Podc.Containers.Kill(ctx, ref, c.String("signal"))
				}
			}),
			verbCommand("pause", "freeze containers", nil, func(s *command.Session, _ *cli.Context) verb { return s.Podc.Containers.Pause }),
			verbCommand("unpause", "let paused containers go on", nil, func(s *command.Session, _ *cli.Context) verb { return s.Podc.Containers.Unpause }),
			containerWaitCommand(), containerRemoveCommand(), containerPruneCommand(), containerExecCommand(), containerLogsCommand(),
			containerPortCommand(), containerTopCommand(), containerCopyCommand(), containerExportCommand(), containerCommitCommand(),
			containerAttachCommand(), containerStatsCommand(),
		},
	}
}

// verb is what is done with a container.
type verb = func(ctx context.Context, ref string) error

// verbCommand does something with every container named.
func verbCommand(name, usage string, flags []*command.Flag, do func(*command.Session, *cli.Context) verb) *command.Command {
	return &command.Command{
		Name: name, Usage: usage, Args: command.Containers, Flags: flags, Needs: command.Effect,
		Run: func(s *command.Session, c *cli.Context) error { return s.EachContainer(c, do(s, c)) },
	}
}

func stopOptions(c *cli.Context) control.StopOptions {
	return control.StopOptions{Signal: c.String("signal"), Timeout: command.Seconds(c, "timeout")}
}

func containerWaitCommand() *command.Command {
	return &command.Command{
		Name: "wait", Usage: "wait until containers end, and print their exit codes", Args: command.Containers,
		Run: func(s *command.Session, c *cli.Context) error {
			return command.ForEach(c, func(ctx context.Context, arg string) error {
				p, err := s.Podc.Containers.Wait(ctx, arg, api.Stopped)
				if err == nil {
					fmt.Fprintln(s.Con.Out, p.ExitCode)
				}
				return err
			})
		},
	}
}

func containerRemoveCommand() *command.Command {
	return &command.Command{
		Name: "rm", Aliases: []string{"remove"}, Usage: "remove containers", Args: command.Containers, Needs: command.Effect,
		Flags: []*command.Flag{
			command.Toggle("force", "kill those that run, and do not mind those that do not exist", "f"),
			command.Toggle("volumes", "their anonymous volumes too", "v"),
		},
		Refused: command.Refused{"link,l": "podc has no links between containers of the default network"},
		Run: func(s *command.Session, c *cli.Context) error {
			opt := api.RemoveOptions{Force: c.Bool("force"), Volumes: c.Bool("volumes")}
			err := s.EachContainer(c, func(ctx context.Context, ref string) error { return s.Podc.Containers.Remove(ctx, ref, opt) })
			if opt.Force {
				err = onlyMissing(s.Con, err)
			}
			return err
		},
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

func containerPruneCommand() *command.Command {
	return &command.Command{
		Name: "prune", Usage: "remove all containers that do not run", Flags: command.PruneFlags(control.PruneFilters), Needs: command.Effect,
		Run: func(s *command.Session, c *cli.Context) error {
			return s.PruneFiltered(c, command.Pruning{What: "all containers that do not run", Title: "Deleted Containers", Frees: true}, s.Podc.Containers.Prune)
		},
	}
}
