package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
)

func systemCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "system", Usage: "look after podc's own state",
		Subcommands: []*cli.Command{
			{
				Name: "check", Usage: "list what is broken or left over; exit code 1 if there is anything",
				Flags: []cli.Flag{
					toggle("repair", "mend it, then list what remains"),
					text("format", "text or json (`FORMAT`)"),
				},
				Action: with(con, func(s *session, c *cli.Context) error {
					return s.check(c.Context, c.Bool("repair"), c.String("format"))
				}),
			},
			{
				Name: "info", Usage: "show where podc keeps things and what it runs with",
				Flags: []cli.Flag{text("format", "text, json or a Go template (`FORMAT`)", "f")},
				Action: with(con, func(s *session, c *cli.Context) error {
					return s.info(c.Context, c.String("format"))
				}),
			},
		},
	}
}

// check prints the broken invariants of pods, networks, volumes and images.
func (s *session) check(ctx context.Context, repair bool, format string) error {
	if format != "" && format != "text" && format != "json" {
		return usage("unknown --format %q: want text or json", format)
	}
	problems, mended, err := s.podc.System.Check(ctx, repair)
	errs := []error{err}
	if err := printProblems(s.con, problems, mended, format); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(problems) > 0 {
		return fault.Silent(exitFailure)
	}
	return nil
}

func printProblems(con *console, problems []api.Problem, mended []string, format string) error {
	if format == "json" {
		if problems == nil {
			problems = []api.Problem{}
		}
		return json.NewEncoder(con.out).Encode(problems)
	}
	for _, line := range mended {
		fmt.Fprintf(con.err, "repaired %s\n", printable(line))
	}
	for _, p := range problems {
		fmt.Fprintln(con.out, printable(p.String()))
	}
	return nil
}

// systemInfo is the answer of `system info`.
type systemInfo struct {
	Version string
	control.Info
}

func (s *session) info(ctx context.Context, format string) error {
	facts, err := s.podc.System.Info(ctx)
	if err != nil {
		return err
	}
	info := systemInfo{version, facts}
	switch format {
	case "", "text":
		return info.print(s.con)
	case "json":
		return json.NewEncoder(s.con.out).Encode(info)
	}
	t, err := parseTemplate(format)
	if err != nil {
		return err
	}
	return render(s.con.out, t, info)
}

func (i systemInfo) print(con *console) error {
	cgroups := "v1 or hybrid"
	if i.CgroupV2 {
		cgroups = "v2"
	}
	tw := newTable(con.out)
	fmt.Fprintf(tw, "Version:\t%s\nRoot:\t%s\nRun root:\t%s\nRoot ID:\t%s\n", i.Version, i.Root, i.RunRoot, i.RootID)
	fmt.Fprintf(tw, "Image store:\t%s\n", cmp.Or(i.ImageStore, "as storage.conf says"))
	fmt.Fprintf(tw, "Runtime:\t%s\nConmon:\t%s\nCgroups:\t%s\n", i.Runtime, i.Conmon, cgroups)
	fmt.Fprintf(tw, "Pods:\t%d (%d running)\nNetworks:\t%d\nVolumes:\t%d\n", i.Pods, i.Running, i.Networks, i.Volumes)
	return tw.Flush()
}
