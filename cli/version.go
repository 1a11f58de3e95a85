package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
)

func versionCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "show the version of podc",
		Flags: []cli.Flag{
			command.Text("format", "pretty or json (`FORMAT`)", "f"),
			command.Toggle("short", "only the number"),
		},
		Action: func(c *cli.Context) error {
			return printVersion(con, c.String("format"), c.Bool("short"))
		},
	}
}

func printVersion(con *show.Console, format string, short bool) error {
	number := strings.TrimPrefix(command.Version, "v") // tags have one
	line := "podc version v" + number
	if con.Standalone { // scripts ask for the version of what they know
		number = command.ComposeVersion
		line = "Docker Compose version v" + number
	}
	switch {
	case short:
		line = number
	case format == "json":
		line = fmt.Sprintf(`{"version":%q}`, "v"+number)
	case format != "" && format != "pretty":
		return fault.Invalid("unknown --format %q: want pretty or json", format)
	}
	_, err := fmt.Fprintln(con.Out, line)
	return err
}
