package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/control"
)

// logsOptions are the flags of `logs`.
type logsOptions struct {
	services []string
	index    int // 0: every replica
	read     control.LogOptions
	style    logStyle
}

func logsCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "show the output of containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			toggle("follow", "go on as output comes", "f"),
			number("index", 0, "`NUMBER` of the replica of the one service named"),
			toggle("no-color", "no colours"),
			toggle("no-log-prefix", "no names before lines"),
			text("since", "only lines after `TIME`: RFC 3339, seconds since 1970, or relative (42m)"),
			text("until", "only lines before `TIME`"),
			textOr("tail", "all", "only the last `N` lines of each container", "n"),
			toggle("timestamps", "a time before each line", "t"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			opt := logsOptions{services: c.Args().Slice(), index: c.Int("index")}
			var err error
			if opt.read, err = logOptions(c, time.Now()); err != nil {
				return err
			}
			if opt.index != 0 && len(opt.services) != 1 {
				return usage("--index needs exactly one service")
			}
			return s.logs(c.Context, opt)
		}),
	}
}

func (s *session) logs(ctx context.Context, opt logsOptions) error {
	t, err := s.target(ctx, opt.services)
	if err != nil {
		return err
	}
	opt.style = s.logStyle(s.flags) // by now env files have had their say
	sel := t.selection(false)
	sel.Number = opt.index
	if opt.index > 0 {
		if pods, err := s.podc.Containers.List(ctx, sel); err == nil && len(pods) == 0 {
			return noReplica(opt.services[0], opt.index)
		}
	}
	return s.podc.Streams.Logs(ctx, sel, opt.read, newLogPrinter(s.con, opt.style).output())
}
