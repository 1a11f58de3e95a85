package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
)

func versionCommand() *command.Command {
	return &command.Command{
		Name: "version", Usage: "show the version of podc", Needs: command.NoEngine,
		Flags: []*command.Flag{
			command.Text("format", command.OneOf("FORMAT", "pretty", "json"), "", "f"),
			command.Toggle("short", "only the number"),
		},
		Run: printVersion,
	}
}

func printVersion(s *command.Session, c *cli.Context) error {
	number := strings.TrimPrefix(command.Version, "v") // tags have one
	line := "podc version v" + number
	if s.Con.Standalone { // scripts ask for the version of what they know
		number = command.ComposeVersion
		line = "Docker Compose version v" + number
	}
	switch {
	case c.Bool("short"):
		line = number
	case c.String("format") == "json":
		line = fmt.Sprintf(`{"version":%q}`, "v"+number)
	}
	_, err := fmt.Fprintln(s.Con.Out, line)
	return err
}
