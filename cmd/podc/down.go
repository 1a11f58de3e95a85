package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

// downOptions are the flags of `down`.
type downOptions struct {
	services []string
	volumes  bool
	images   string // "", "local" or "all"
	timeout  *time.Duration
}

func downCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "down", Usage: "stop and remove containers and networks", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			toggle("volumes", "remove named volumes and anonymous ones too", "v"),
			text("rmi", "remove images too: \"local\" those without a name of their own, \"all\" (`WHICH`)"),
			toggle("remove-orphans", "remove containers of services that are no longer in the file"),
			number("timeout", 0, "`SECONDS` that containers get to stop", "t"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			opt := downOptions{services: c.Args().Slice(), volumes: c.Bool("volumes"), images: c.String("rmi"),
				timeout: seconds(c, "timeout")}
			if opt.images != "" && opt.images != "local" && opt.images != "all" {
				return usage("invalid value for --rmi: %q (want local or all)", opt.images)
			}
			return s.down(c.Context, opt)
		}),
	}
}

func (s *session) down(ctx context.Context, opt downOptions) error {
	d, _, err := s.existing(ctx, opt.services, podccompose.Planned)
	if err != nil {
		return err
	}
	o := s.operate("down")
	defer o.close()
	return s.podc.Projects.Down(ctx, d, project.DownOptions{
		Services: opt.services, Volumes: opt.volumes, RemoveImages: opt.images, RemoveOrphans: s.removeOrphans(), Timeout: opt.timeout,
	}, o.watch())
}
