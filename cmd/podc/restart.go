package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"podc.example/podc/engine"
	"podc.example/podc/project"
)

func restartCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "restart", Usage: "restart containers; changes of the compose file are not applied", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			number("timeout", 0, "`SECONDS` that containers get to stop", "t"),
			toggle("no-deps", "leave alone those that ask to be restarted with their dependency"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			opt := project.RestartOptions{Services: c.Args().Slice(), NoDeps: c.Bool("no-deps"), Timeout: seconds(c, "timeout")}
			return verbOn(c.Context, s, "restart", opt.Services, opt, func(ctx context.Context, deps project.Deps, d project.Desired, opt project.RestartOptions) error {
				deps.Engine = tellingRestarts{s.engine}
				return project.Restart(ctx, deps, d, opt)
			})
		}),
	}
}

// tellingRestarts has each start followed by docker's event for a restart that somebody asked for.
type tellingRestarts struct{ *engine.Engine }

// StartPod implements project.Engine.
func (e tellingRestarts) StartPod(ctx context.Context, name string) error {
	err := e.Engine.StartPod(ctx, name)
	if err == nil {
		if p, err := e.Pod(name); err == nil { // else it is gone already
			e.NoteEvent(p, "restart", nil)
		}
	}
	return err
}
