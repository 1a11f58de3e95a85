package project

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
)

func PlanCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "show what up would do, and why", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Text("format", "text or json (`FORMAT`)"),
			command.Text("pull", "as for up (`POLICY`)"),
			command.Toggle("force-recreate", "as for up"),
			command.Toggle("no-recreate", "as for up"),
			command.Toggle("always-recreate-deps", "as for up"),
			command.Toggle("renew-anon-volumes", "as for up", "V"),
			command.Toggle("remove-orphans", "as for up"),
			command.Toggle("no-deps", "as for up"),
			command.Toggle("no-start", "as for up"),
			command.List("scale", "as for up (`SERVICE=N`)"),
			command.Toggle("wait", "as for up"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			format := c.String("format")
			if format != "" && format != "text" && format != "json" {
				return fault.Invalid("unknown --format %q: want text or json", format)
			}
			opt, err := upOptionsOf(c, s)
			if err != nil {
				return err
			}
			return plan(c.Context, s, opt, format == "json")
		}),
	}
}

func plan(ctx context.Context, s *command.Session, opt upOptions, asJSON bool) error {
	w, err := s.Load(ctx, command.Selection{Services: opt.services, NoDeps: opt.noDeps, Scale: opt.scale}, podccompose.Planned)
	if err != nil {
		return err
	}
	wanted, err := opt.wanted(s)
	if err != nil {
		return err
	}
	o := s.Operate("plan")
	defer o.Close()
	plan, err := s.Podc.Projects.Plan(ctx, *w.Desired, wanted, false, o.Watch())
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(s.Con.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(plan)
	}
	_, err = fmt.Fprint(s.Con.Out, show.Printable(plan.String()))
	return err
}
