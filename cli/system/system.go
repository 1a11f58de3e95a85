package system

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/doctor"
	"podc.example/podc/internal/fault"
)

func SystemCommand() *command.Command {
	return &command.Command{
		Name: "system", Usage: "look after podc's own state",
		Subcommands: []*command.Command{
			{
				Name: "check", Usage: "list what is broken or left over; exit code 1 if there is anything",
				Flags: []*command.Flag{
					command.Toggle("repair", "mend it, then list what remains"),
					command.Text("format", command.OneOf("FORMAT", "text", "json"), ""),
				},
				Run: func(s *command.Session, c *cli.Context) error {
					return check(c.Context, s, c.Bool("repair"), c.String("format"))
				},
			},
			{
				Name: "info", Usage: "show where podc keeps things and what it runs with",
				Flags: []*command.Flag{command.Text("format", command.Format("text", "json"), "", "f")},
				Run: func(s *command.Session, c *cli.Context) error {
					return info(c.Context, s, c.String("format"))
				},
			},
		},
	}
}

// check prints the broken invariants of pods, networks, volumes and images.
func check(ctx context.Context, s *command.Session, repair bool, format string) error {
	problems, mended, err := s.Podc.System.Check(ctx, repair)
	if err := errors.Join(err, printProblems(s.Con, problems, mended, format)); err != nil {
		return err
	}
	if len(problems) > 0 {
		return fault.Silent(command.ExitFailure)
	}
	return nil
}

func printProblems(con *show.Console, problems []api.Problem, mended []string, format string) error {
	if format == "json" {
		if problems == nil {
			problems = []api.Problem{}
		}
		return json.NewEncoder(con.Out).Encode(problems)
	}
	for _, line := range mended {
		fmt.Fprintf(con.Err, "repaired %s\n", show.Printable(line))
	}
	for _, p := range problems {
		fmt.Fprintln(con.Out, show.Printable(p.String()))
	}
	return nil
}

// systemInfo is the answer of `system info`.
type systemInfo struct {
	Version string
	control.Info
}

func info(ctx context.Context, s *command.Session, format string) error {
	facts, err := s.Podc.System.Info(ctx)
	if err != nil {
		return err
	}
	info := systemInfo{command.Version, facts}
	switch format {
	case "", "text":
		return info.print(s.Con)
	case "json":
		return json.NewEncoder(s.Con.Out).Encode(info)
	}
	t, err := show.ParseTemplate(format)
	if err != nil {
		return err
	}
	return show.Render(s.Con.Out, t, info)
}

func (i systemInfo) print(con *show.Console) error {
	cgroups := "v1 or hybrid"
	if i.CgroupV2 {
		cgroups = "v2"
	}
	tw := show.NewTable(con.Out)
	fmt.Fprintf(tw, "Version:\t%s\nRoot:\t%s\nRun root:\t%s\nRoot ID:\t%s\n", i.Version, i.Root, i.RunRoot, i.RootID)
	fmt.Fprintf(tw, "Image store:\t%s\n", cmp.Or(i.ImageStore, "as storage.conf says"))
	fmt.Fprintf(tw, "Runtime:\t%s\nConmon:\t%s\nCgroups:\t%s\n", i.Runtime, i.Conmon, cgroups)
	fmt.Fprintf(tw, "Pods:\t%d (%d running)\nNetworks:\t%d\nVolumes:\t%d\n", i.Pods, i.Running, i.Networks, i.Volumes)
	return tw.Flush()
}

func DoctorCommand() *command.Command {
	return &command.Command{
		Name: "doctor", Usage: "look whether the machine has what containers need; exit code 1 if not",
		Flags: []*command.Flag{command.Text("format", command.OneOf("FORMAT", "text", "json"), "")},
		Needs: command.NoRoot,
		Run: func(s *command.Session, c *cli.Context) error {
			found := s.Podc.System.Examine(c.Context)
			if err := printFindings(s.Con, s.Style, found, c.String("format") == "json"); err != nil {
				return err
			}
			if !doctor.Healthy(found) {
				return fault.Silent(command.ExitFailure)
			}
			return nil
		},
	}
}

var findingColors = map[doctor.State]string{doctor.OK: "32", doctor.Warning: "33", doctor.Missing: "31"}

func printFindings(con *show.Console, g show.Style, found []doctor.Finding, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(con.Out).Encode(found)
	}
	for _, f := range found {
		state := fmt.Sprintf("%-8s", f.State)
		if g.Color(con.OutTTY) {
			state = "\x1b[" + findingColors[f.State] + "m" + state + "\x1b[0m"
		}
		line := state + fmt.Sprintf("%-18s", f.Name) + strings.ReplaceAll(show.Printable(f.Text), "\n", "; ")
		if f.Mend != "" {
			line += "\n" + strings.Repeat(" ", 8+18) + "-> " + show.Printable(f.Mend)
		}
		if _, err := fmt.Fprintln(con.Out, line); err != nil {
			return err
		}
	}
	return nil
}
