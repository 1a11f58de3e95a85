package project

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

func VizCommand() *command.Command {
	return &command.Command{
		Name: "viz", Usage: "draw the services and what they depend on, in the language of graphviz",
		Flags: []*command.Flag{
			command.Toggle("image", "show images"),
			command.Toggle("networks", "show networks"),
			command.Toggle("ports", "show published ports"),
			command.Number("indentation-size", 1, "N", "N tabs or spaces before each line"),
			command.Toggle("spaces", "indent with spaces rather than tabs"),
		},
		TooMany: "it draws the whole project", Needs: command.NoRoot,
		Run: func(s *command.Session, c *cli.Context) error {
			size, with := c.Int("indentation-size"), "\t"
			if size < 0 {
				return fault.Invalid("--indentation-size is negative")
			}
			if c.Bool("spaces") {
				with = " "
			}
			w, err := s.Load(c.Context, command.Selection{}, podccompose.Planned)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(s.Con.Out, project.Viz(*w.Desired, project.VizOptions{
				Images: c.Bool("image"), Networks: c.Bool("networks"), Ports: c.Bool("ports"), Indent: strings.Repeat(with, size),
			}))
			return err
		},
	}
}
