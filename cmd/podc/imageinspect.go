package main

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/dockerapi"
	"podc.example/podc/engine"
)

func imageInspectCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: "show all about images", ArgsUsage: "IMAGE...",
		Flags: []cli.Flag{text("format", "json or a Go template (`FORMAT`)", "f")},
		Action: with(con, func(s *session, c *cli.Context) error {
			if err := needArgs(c, 1); err != nil {
				return err
			}
			var reply engine.InspectReply
			args := append([]string{"inspect", "--"}, c.Args().Slice()...)
			if err := s.images(c.Context, "image inspect", true, nil, &reply, args...); err != nil {
				return err
			}
			var list []dockerapi.Image
			for _, img := range reply.Images {
				list = append(list, dockerapi.InspectImage(img))
			}
			return printInspect(con, c.String("format"), list)
		}),
	}
}
