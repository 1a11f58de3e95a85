package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"podc.example/podc/internal/podccompose"
)

func planCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "show what up would do, and why", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			text("format", "text or json (`FORMAT`)"),
			text("pull", "as for up (`POLICY`)"),
			toggle("force-recreate", "as for up"),
			toggle("no-recreate", "as for up"),
			toggle("always-recreate-deps", "as for up"),
			toggle("renew-anon-volumes", "as for up", "V"),
			toggle("remove-orphans", "as for up"),
			toggle("no-deps", "as for up"),
			toggle("no-start", "as for up"),
			list("scale", "as for up (`SERVICE=N`)"),
			toggle("wait", "as for up"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			format := c.String("format")
			if format != "" && format != "text" && format != "json" {
				return usage("unknown --format %q: want text or json", format)
			}
			opt, err := upOptionsOf(c, s)
			if err != nil {
				return err
			}
			return s.plan(c.Context, opt, format == "json")
		}),
	}
}

func (s *session) plan(ctx context.Context, opt upOptions, asJSON bool) error {
	w, err := s.load(ctx, selection{opt.services, opt.noDeps, opt.scale}, podccompose.Planned)
	if err != nil {
		return err
	}
	wanted, err := opt.wanted(s)
	if err != nil {
		return err
	}
	o := s.operate("plan")
	defer o.close()
	plan, err := s.podc.Projects.Plan(ctx, *w.Desired, wanted, false, o.watch())
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(s.con.out)
		enc.SetIndent("", "  ")
		return enc.Encode(plan)
	}
	_, err = fmt.Fprint(s.con.out, printable(plan.String()))
	return err
}
