package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
)

func containerTopCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "top", Usage: "list the processes of a container", ArgsUsage: "CONTAINER",
		Action: with(con, func(s *session, c *cli.Context) error {
			switch c.NArg() {
			case 0:
				return needArgs(c, 1)
			case 1:
			default:
				return fault.New(errdefs.ErrNotImplemented, "options of ps are not available: podc asks the kernel itself")
			}
			list, err := s.podc.Containers.Processes(c.Context, c.Args().First())
			if err != nil {
				return err
			}
			tw := newTable(con.out)
			for _, row := range append([][]string{slices.Clone(psTitles)}, psRowsOf(list, time.Now())...) {
				for i := range row {
					row[i] = strings.ReplaceAll(oneLine(printable(row[i])), "\t", " ")
				}
				fmt.Fprintln(tw, strings.Join(row, "\t"))
			}
			return tw.Flush()
		}),
	}
}

func containerStatsCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "stats", Usage: "show what containers use", ArgsUsage: "[CONTAINER...]",
		Flags: []cli.Flag{
			toggle("all", "stopped containers too", "a"),
			text("format", "table, json or a Go template (`FORMAT`)"),
			toggle("no-stream", "look once"),
			toggle("no-trunc", "do not shorten"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			opt := statsOptions{c.Bool("all"), c.String("format"), c.Bool("no-stream"), c.Bool("no-trunc")}
			ids := map[string]bool{}
			for _, arg := range c.Args().Slice() {
				p, err := s.container(arg)
				if err != nil {
					return err
				}
				ids[p.ID] = true
			}
			return s.stats(c.Context, opt, func() ([]api.Pod, error) {
				pods, err := s.podc.Containers.List(c.Context, control.Selection{})
				return slices.DeleteFunc(pods, func(p api.Pod) bool {
					return len(ids) > 0 && !ids[p.ID] || len(ids) == 0 && !opt.all && !isLive(p)
				}), err
			})
		}),
	}
}
