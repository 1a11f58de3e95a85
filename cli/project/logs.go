package project

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
)

// logsOptions are the flags of `logs`.
type logsOptions struct {
	services []string
	index    int // 0: every replica
	read     control.LogOptions
	style    show.LogStyle
}

func LogsCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "show the output of containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Toggle("follow", "go on as output comes", "f"),
			command.Number("index", 0, "`NUMBER` of the replica of the one service named"),
			command.Toggle("no-color", "no colours"),
			command.Toggle("no-log-prefix", "no names before lines"),
			command.Text("since", "only lines after `TIME`: RFC 3339, seconds since 1970, or relative (42m)"),
			command.Text("until", "only lines before `TIME`"),
			command.TextOr("tail", "all", "only the last `N` lines of each container", "n"),
			command.Toggle("timestamps", "a time before each line", "t"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			opt := logsOptions{services: c.Args().Slice(), index: c.Int("index")}
			var err error
			if opt.read, err = command.LogOptions(c, time.Now()); err != nil {
				return err
			}
			if opt.index != 0 && len(opt.services) != 1 {
				return fault.Invalid("--index needs exactly one service")
			}
			return logs(c.Context, s, opt)
		}),
	}
}

func logs(ctx context.Context, s *command.Session, opt logsOptions) error {
	t, err := s.Target(ctx, opt.services)
	if err != nil {
		return err
	}
	opt.style = logStyle(s, s.Flags) // by now env files have had their say
	sel := t.Selection(false)
	sel.Number = opt.index
	if opt.index > 0 {
		if pods, err := s.Podc.Containers.List(ctx, sel); err == nil && len(pods) == 0 {
			return command.NoReplica(opt.services[0], opt.index)
		}
	}
	return s.Podc.Streams.Logs(ctx, sel, opt.read, show.NewLogPrinter(s.Con, opt.style).Output())
}
