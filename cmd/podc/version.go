package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func versionCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "show the version of podc",
		Flags: []cli.Flag{
			text("format", "pretty or json (`FORMAT`)", "f"),
			toggle("short", "only the number"),
		},
		Action: func(c *cli.Context) error {
			return printVersion(con, c.String("format"), c.Bool("short"))
		},
	}
}

func printVersion(con *console, format string, short bool) error {
	number := strings.TrimPrefix(version, "v") // tags have one
	line := "podc version v" + number
	if con.standalone { // scripts ask for the version of what they know
		number = composeVersion
		line = "Docker Compose version v" + number
	}
	switch {
	case short:
		line = number
	case format == "json":
		line = fmt.Sprintf(`{"version":%q}`, "v"+number)
	case format != "" && format != "pretty":
		return usage("unknown --format %q: want pretty or json", format)
	}
	_, err := fmt.Fprintln(con.out, line)
	return err
}
