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
			opt, err := upOptionsOf(c)
			if err != nil {
				return err
			}
			return plan(c.Context, s, opt, c.String("format") == "json")
		},
	}
}

func plan(ctx context.Context, s *command.Session, opt upOptions, asJSON bool) error {
	w, err := s.Load(ctx, command.Selection{Services: opt.Services, NoDeps: opt.NoDeps, Scale: opt.Scale}, podccompose.Planned)
	if err == nil {
		err = opt.heedEnvironment(s)
	}
	if err != nil {
		return err
	}
	o := s.Operate("plan")
	defer o.Close()
	plan, err := s.Podc.Projects.Plan(ctx, *w.Desired, opt.UpOptions, false, o.Watch())
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
