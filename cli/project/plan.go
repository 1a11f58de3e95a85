package project

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/podccompose"
)

func PlanCommand() *command.Command {
	return &command.Command{
		Name: "plan", Usage: "show what up would do, and why", Args: command.AnyServices,
		Flags: slices.Concat([]*command.Flag{command.Text("format", command.OneOf("FORMAT", "text", "json"), "")}, changeFlags(), planFlags()),
		Run: func(s *command.Session, c *cli.Context) error {
			opt, err := upOptionsOf(c, s)
			if err != nil {
				return err
			}
			return plan(c.Context, s, opt, c.String("format") == "json")
		},
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
