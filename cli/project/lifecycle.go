package project

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

func StartCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "start", Usage: "start existing containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Toggle("wait", "return once everything is running or healthy"),
			command.Number("wait-timeout", 0, "wait at most `SECONDS`"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if c.Int("wait-timeout") < 0 {
				return fault.Invalid("--wait-timeout is negative")
			}
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "start", services, project.StartOptions{
				Services: services, Wait: c.Bool("wait"), WaitTimeout: time.Duration(c.Int("wait-timeout")) * time.Second,
			}, s.Podc.Projects.Start)
		}),
	}
}

func StopCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "stop", Usage: "stop containers, dependents first", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{command.Number("timeout", 0, "`SECONDS` that containers get to stop", "t")},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "stop", services, project.StopOptions{Services: services, Timeout: command.Seconds(c, "timeout")}, s.Podc.Projects.Stop)
		}),
	}
}

func RestartCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "restart", Usage: "restart containers; changes of the compose file are not applied", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Number("timeout", 0, "`SECONDS` that containers get to stop", "t"),
			command.Toggle("no-deps", "leave alone those that ask to be restarted with their dependency"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			opt := project.RestartOptions{Services: c.Args().Slice(), NoDeps: c.Bool("no-deps"), Timeout: command.Seconds(c, "timeout")}
			return command.VerbOn(c.Context, s, "restart", opt.Services, opt, s.Podc.Projects.Restart)
		}),
	}
}

func KillCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "kill", Usage: "send a signal to containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.TextOr("signal", "SIGKILL", "`SIGNAL` to send", "s"),
			command.Toggle("remove-orphans", "remove containers of services that are no longer in the file"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "kill", services, project.KillOptions{
				Services: services, Signal: c.String("signal"), RemoveOrphans: removeOrphans(s),
			}, s.Podc.Projects.Kill)
		}),
	}
}

func PauseCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "pause", Usage: "freeze containers, which keep their memory and connections", ArgsUsage: "[SERVICE...]",
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "pause", services, project.PauseOptions{Services: services}, s.Podc.Projects.Pause)
		}),
	}
}

func UnpauseCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "unpause", Usage: "let paused containers go on", ArgsUsage: "[SERVICE...]",
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "unpause", services, project.PauseOptions{Services: services}, s.Podc.Projects.Unpause)
		}),
	}
}

func RmCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "rm", Usage: "remove stopped containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Toggle("force", "do not ask", "f"),
			command.Toggle("stop", "stop them first", "s"),
			command.Toggle("volumes", "remove their anonymous volumes too", "v"),
			command.Hidden(command.Toggle("all", "", "a")),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "rm", services, project.RemoveOptions{
				Services: services, Force: c.Bool("force"), Stop: c.Bool("stop"), Volumes: c.Bool("volumes"),
			}, func(ctx context.Context, d project.Desired, opt project.RemoveOptions, w control.Watch) error {
				w.Report = announcing(con, w.Report)
				return s.Podc.Projects.Remove(ctx, d, opt, w)
			})
		}),
	}
}

// announcing has a plan's removals said on standard output before they are begun, as docker compose says them.
func announcing(con *show.Console, report func(project.Event)) func(project.Event) {
	return func(e project.Event) {
		if e.Kind == project.Planned {
			var names []string
			for _, s := range e.Plan.Steps {
				if do, ok := s.Do.(project.RemovePod); ok {
					names = append(names, do.Name)
				}
			}
			if slices.Sort(names); len(names) > 0 {
				fmt.Fprintf(con.Out, "Going to remove %s\n", strings.Join(names, ", "))
			}
		}
		report(e)
	}
}

func ScaleCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "scale", Usage: "set how many containers services have, until the next up", ArgsUsage: "SERVICE=N...",
		Flags: []cli.Flag{command.Toggle("no-deps", "leave the services that these depend on alone")},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if err := command.NeedArgs(c, 1); err != nil {
				return err
			}
			counts, err := scales("argument", c.Args().Slice())
			if err != nil {
				return err
			}
			return up(c.Context, s, upOptions{
				services: slices.Sorted(maps.Keys(counts)), verb: "scale", scale: counts, noDeps: c.Bool("no-deps"), detach: true,
			})
		}),
	}
}

func CreateCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "create", Usage: "create containers without starting them", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Hidden(command.Toggle("build", "")),
			command.Toggle("no-build", "never build an image"),
			command.Text("pull", "when to pull images: always, missing or never (`POLICY`)"),
			command.Toggle("quiet-pull", "show no progress of pulls"),
			command.Toggle("force-recreate", "replace containers even when nothing changed"),
			command.Toggle("no-recreate", "leave existing containers as they are"),
			command.Toggle("remove-orphans", "remove containers of services that are no longer in the file"),
			command.List("scale", "number of replicas, `SERVICE=N`"),
			command.Toggle("yes", "answer every question with yes", "y"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			opt := upOptions{
				services: c.Args().Slice(), verb: "create", noStart: true, quietPull: c.Bool("quiet-pull"), yes: c.Bool("yes"),
				forceRecreate: c.Bool("force-recreate"), noRecreate: c.Bool("no-recreate"),
			}
			if opt.forceRecreate && opt.noRecreate {
				return fault.Invalid("--force-recreate and --no-recreate cannot be combined")
			}
			if err := command.NotServed(c, "build"); err != nil {
				return err
			}
			var err error
			if opt.pull, err = pullPolicy(c.String("pull")); err != nil {
				return err
			}
			if opt.scale, err = scales("--scale", c.StringSlice("scale")); err != nil {
				return err
			}
			return up(c.Context, s, opt)
		}),
	}
}

// downOptions are the flags of `down`.
type downOptions struct {
	services []string
	volumes  bool
	images   string // "", "local" or "all"
	timeout  *time.Duration
}

func DownCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "down", Usage: "stop and remove containers and networks", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Toggle("volumes", "remove named volumes and anonymous ones too", "v"),
			command.Text("rmi", "remove images too: \"local\" those without a name of their own, \"all\" (`WHICH`)"),
			command.Toggle("remove-orphans", "remove containers of services that are no longer in the file"),
			command.Number("timeout", 0, "`SECONDS` that containers get to stop", "t"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			opt := downOptions{services: c.Args().Slice(), volumes: c.Bool("volumes"), images: c.String("rmi"),
				timeout: command.Seconds(c, "timeout")}
			if opt.images != "" && opt.images != "local" && opt.images != "all" {
				return fault.Invalid("invalid value for --rmi: %q (want local or all)", opt.images)
			}
			return down(c.Context, s, opt)
		}),
	}
}

func down(ctx context.Context, s *command.Session, opt downOptions) error {
	d, _, err := s.Existing(ctx, opt.services, podccompose.Planned)
	if err != nil {
		return err
	}
	o := s.Operate("down")
	defer o.Close()
	return s.Podc.Projects.Down(ctx, d, project.DownOptions{
		Services: opt.services, Volumes: opt.volumes, RemoveImages: opt.images, RemoveOrphans: removeOrphans(s), Timeout: opt.timeout,
		Remedies: remedies,
	}, o.Watch())
}
