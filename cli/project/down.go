package project

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
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

func DownCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "down", Usage: "stop and remove containers and networks", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Toggle("volumes", "remove named volumes and anonymous ones too", "v"),
			command.Text("rmi", "remove images too: \"local\" those without a name of their own, \"all\" (`WHICH`)"),
			command.Toggle("remove-orphans", "remove containers of services that are no longer in the file"),
			command.Number("timeout", 0, "`SECONDS` that containers get to stop", "t"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			opt := downOptions{services: c.Args().Slice(), volumes: c.Bool("volumes"), images: c.String("rmi"),
				timeout: command.Seconds(c, "timeout")}
			if opt.images != "" && opt.images != "local" && opt.images != "all" {
				return show.Usage("invalid value for --rmi: %q (want local or all)", opt.images)
			}
			return down(s, c.Context, opt)
		}),
	}
}

func down(s *command.Session, ctx context.Context, opt downOptions) error {
	d, _, err := s.Existing(ctx, opt.services, podccompose.Planned)
	if err != nil {
		return err
	}
	o := s.Operate("down")
	defer o.Close()
	return s.Podc.Projects.Down(ctx, d, project.DownOptions{
		Services: opt.services, Volumes: opt.volumes, RemoveImages: opt.images, RemoveOrphans: removeOrphans(s), Timeout: opt.timeout,
	}, o.Watch())
}
