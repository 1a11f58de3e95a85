package project

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

// The flags that several commands have.
func timeoutFlag() *command.Flag {
	return command.Number("timeout", 0, "SECONDS", "SECONDS that containers get to stop", "t")
}

func orphansFlag() *command.Flag {
	return command.Toggle("remove-orphans", "remove containers of services that are no longer in the file")
}

func waitFlag() *command.Flag {
	return command.Toggle("wait", "return once everything is running or healthy")
}

func waitTimeoutFlag() *command.Flag {
	return command.Number("wait-timeout", 0, "SECONDS", "wait at most SECONDS")
}

func StartCommand() *command.Command {
	return &command.Command{
		Name: "start", Usage: "start existing containers", Args: command.AnyServices,
		Flags: []*command.Flag{waitFlag(), waitTimeoutFlag()},
		Run: func(s *command.Session, c *cli.Context) error {
			patience, err := waitTimeout(c)
			if err != nil {
				return err
			}
			opt := project.StartOptions{Services: c.Args().Slice(), Wait: c.Bool("wait"), WaitTimeout: patience}
			return command.VerbOn(s, c, opt, s.Podc.Projects.Start)
		},
	}
}

func StopCommand() *command.Command {
	return &command.Command{
		Name: "stop", Usage: "stop containers, dependents first", Args: command.AnyServices, Flags: []*command.Flag{timeoutFlag()},
		Run: func(s *command.Session, c *cli.Context) error {
			opt := project.StopOptions{Services: c.Args().Slice(), Timeout: command.Seconds(c, "timeout")}
			return command.VerbOn(s, c, opt, s.Podc.Projects.Stop)
		},
	}
}

func RestartCommand() *command.Command {
	return &command.Command{
		Name: "restart", Usage: "restart containers; changes of the compose file are not applied", Args: command.AnyServices,
		Flags: []*command.Flag{
			timeoutFlag(), command.Toggle("no-deps", "leave alone those that ask to be restarted with their dependency"),
		},
		Run: func(s *command.Session, c *cli.Context) error {
			opt := project.RestartOptions{Services: c.Args().Slice(), NoDeps: c.Bool("no-deps"), Timeout: command.Seconds(c, "timeout")}
			return command.VerbOn(s, c, opt, s.Podc.Projects.Restart)
		},
	}
}

func KillCommand() *command.Command {
	return &command.Command{
		Name: "kill", Usage: "send a signal to containers", Args: command.AnyServices,
		Flags: []*command.Flag{command.TextOr("signal", "SIGKILL", command.Signal, "SIGNAL to send", "s"), orphansFlag()},
		Run: func(s *command.Session, c *cli.Context) error {
			opt := project.KillOptions{Services: c.Args().Slice(), Signal: c.String("signal")}
			return command.VerbOn(s, c, opt, func(ctx context.Context, d project.Desired, opt project.KillOptions, w control.Watch) error {
				opt.RemoveOrphans = removeOrphans(s)
				return s.Podc.Projects.Kill(ctx, d, opt, w)
			})
		},
	}
}

func PauseCommand() *command.Command {
	return &command.Command{
		Name: "pause", Usage: "freeze containers, which keep their memory and connections", Args: command.AnyServices,
		Run: func(s *command.Session, c *cli.Context) error {
			return command.VerbOn(s, c, project.PauseOptions{Services: c.Args().Slice()}, s.Podc.Projects.Pause)
		},
	}
}

func UnpauseCommand() *command.Command {
	return &command.Command{
		Name: "unpause", Usage: "let paused containers go on", Args: command.AnyServices,
		Run: func(s *command.Session, c *cli.Context) error {
			return command.VerbOn(s, c, project.PauseOptions{Services: c.Args().Slice()}, s.Podc.Projects.Unpause)
		},
	}
}

func RmCommand() *command.Command {
	return &command.Command{
		Name: "rm", Usage: "remove stopped containers", Args: command.AnyServices,
		Flags: []*command.Flag{
			command.Toggle("force", "do not ask", "f"),
			command.Toggle("stop", "stop them first", "s"),
			command.Toggle("volumes", "remove their anonymous volumes too", "v"),
			command.Hidden(command.Toggle("all", "", "a")),
		},
		Run: func(s *command.Session, c *cli.Context) error {
			opt := project.RemoveOptions{Services: c.Args().Slice(), Force: c.Bool("force"), Stop: c.Bool("stop"), Volumes: c.Bool("volumes")}
			return command.VerbOn(s, c, opt, func(ctx context.Context, d project.Desired, opt project.RemoveOptions, w control.Watch) error {
				w.Report = announcing(s.Con, w.Report)
				return s.Podc.Projects.Remove(ctx, d, opt, w)
			})
		},
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

func ScaleCommand() *command.Command {
	return &command.Command{
		Name: "scale", Usage: "set how many containers services have, until the next up", Args: command.Args{command.Many(command.Replicas)},
		Examples: []string{"podc scale web=3 worker=0"},
		Flags:    []*command.Flag{command.Toggle("no-deps", "leave the services that these depend on alone")},
		Run: func(s *command.Session, c *cli.Context) error {
			counts, err := scales("argument", c.Args().Slice())
			if err != nil {
				return err
			}
			opt := project.UpOptions{Services: slices.Sorted(maps.Keys(counts)), Scale: counts, NoDeps: c.Bool("no-deps")}
			return up(s, c, upOptions{UpOptions: opt, detach: true})
		},
	}
}

func CreateCommand() *command.Command {
	return &command.Command{
		Name: "create", Usage: "create containers without starting them", Args: command.AnyServices,
		Flags: slices.Concat(makingFlags(), changeFlags()),
		Run: func(s *command.Session, c *cli.Context) error {
			opt, err := upOptionsOf(c)
			if err != nil {
				return err
			}
			opt.NoStart = true
			return up(s, c, opt)
		},
	}
}

func DownCommand() *command.Command {
	return &command.Command{
		Name: "down", Usage: "stop and remove containers and networks", Args: command.AnyServices,
		Flags: []*command.Flag{
			command.Toggle("volumes", "remove named volumes and anonymous ones too", "v"),
			command.Text("rmi", command.OneOf("WHICH", "local", "all"), "remove images too, \"local\" only those without a name of their own"),
			orphansFlag(), timeoutFlag(),
		},
		Run: func(s *command.Session, c *cli.Context) error {
			opt := project.DownOptions{Services: c.Args().Slice(), Volumes: c.Bool("volumes"), RemoveImages: c.String("rmi"),
				Timeout: command.Seconds(c, "timeout"), Remedies: remedies}
			return command.VerbOn(s, c, opt, func(ctx context.Context, d project.Desired, opt project.DownOptions, w control.Watch) error {
				opt.RemoveOrphans = removeOrphans(s)
				return s.Podc.Projects.Down(ctx, d, opt, w)
			})
		},
	}
}
