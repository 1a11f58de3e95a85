package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/doctor"
	"podc.example/podc/internal/fault"
)

func doctorCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "look whether the machine has what containers need; exit code 1 if not",
		Flags: []cli.Flag{text("format", "text or json (`FORMAT`)")},
		Action: forAnyone(con, func(s *session, c *cli.Context) error {
			format := c.String("format")
			if format != "" && format != "text" && format != "json" {
				return usage("unknown --format %q: want text or json", format)
			}
			found := s.podc.System.Examine(c.Context)
			if err := printFindings(con, s.style, found, format == "json"); err != nil {
				return err
			}
			if !doctor.Healthy(found) {
				return fault.Silent(exitFailure)
			}
			return nil
		}),
	}
}

var findingColors = map[doctor.State]string{doctor.OK: "32", doctor.Warning: "33", doctor.Missing: "31"}

func printFindings(con *console, g style, found []doctor.Finding, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(con.out).Encode(found)
	}
	for _, f := range found {
		state := fmt.Sprintf("%-8s", f.State)
		if g.color(con.outTTY) {
			state = "\x1b[" + findingColors[f.State] + "m" + state + "\x1b[0m"
		}
		line := state + fmt.Sprintf("%-18s", f.Name) + strings.ReplaceAll(printable(f.Text), "\n", "; ")
		if f.Mend != "" {
			line += "\n" + strings.Repeat(" ", 8+18) + "-> " + printable(f.Mend)
		}
		if _, err := fmt.Fprintln(con.out, line); err != nil {
			return err
		}
	}
	return nil
}
