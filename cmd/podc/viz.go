package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

func vizCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "viz", Usage: "draw the services and what they depend on, in the language of graphviz",
		Flags: []cli.Flag{
			toggle("image", "show images"),
			toggle("networks", "show networks"),
			toggle("ports", "show published ports"),
			number("indentation-size", 1, "`N` tabs or spaces before each line"),
			toggle("spaces", "indent with spaces rather than tabs"),
		},
		Action: forAnyone(con, func(s *session, c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("podc viz takes no arguments: it draws the whole project")
			}
			size, with := c.Int("indentation-size"), "\t"
			if size < 0 {
				return usage("--indentation-size is negative")
			}
			if c.Bool("spaces") {
				with = " "
			}
			w, err := s.load(c.Context, selection{}, podccompose.Planned)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(con.out, project.Viz(*w.Desired, project.VizOptions{
				Images: c.Bool("image"), Networks: c.Bool("networks"), Ports: c.Bool("ports"), Indent: strings.Repeat(with, size),
			}))
			return err
		}),
	}
}
