package system

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/doctor"
	"podc.example/podc/internal/fault"
)

func DoctorCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "look whether the machine has what containers need; exit code 1 if not",
		Flags: []cli.Flag{command.Text("format", "text or json (`FORMAT`)")},
		Action: command.ForAnyone(con, func(s *command.Session, c *cli.Context) error {
			format := c.String("format")
			if format != "" && format != "text" && format != "json" {
				return fault.Invalid("unknown --format %q: want text or json", format)
			}
			found := s.Podc.System.Examine(c.Context)
			if err := printFindings(con, s.Style, found, format == "json"); err != nil {
				return err
			}
			if !doctor.Healthy(found) {
				return fault.Silent(command.ExitFailure)
			}
			return nil
		}),
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
