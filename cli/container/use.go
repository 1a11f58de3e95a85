package container

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
)

func containerTopCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "top", Usage: "list the processes of a container", ArgsUsage: "CONTAINER",
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			switch c.NArg() {
			case 0:
				return command.NeedArgs(c, 1)
			case 1:
			default:
				return fault.New(errdefs.ErrNotImplemented, "options of ps are not available: podc asks the kernel itself")
			}
			list, err := s.Podc.Containers.Processes(c.Context, c.Args().First())
			if err != nil {
				return err
			}
			tw := show.NewTable(con.Out)
			for _, row := range append([][]string{slices.Clone(psTitles)}, psRowsOf(list, time.Now())...) {
				for i := range row {
					row[i] = strings.ReplaceAll(show.OneLine(show.Printable(row[i])), "\t", " ")
				}
				fmt.Fprintln(tw, strings.Join(row, "\t"))
			}
			return tw.Flush()
		}),
	}
}

func containerStatsCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "stats", Usage: "show what containers use", ArgsUsage: "[CONTAINER...]",
		Flags: statsFlags(),
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			opt := statsOptionsOf(c)
			ids := map[string]bool{}
			for _, arg := range c.Args().Slice() {
				p, err := s.Container(arg)
				if err != nil {
					return err
				}
				ids[p.ID] = true
			}
			return stats(c.Context, s, opt, func() ([]api.Pod, error) {
				pods, err := s.Podc.Containers.List(c.Context, control.Selection{})
				return slices.DeleteFunc(pods, func(p api.Pod) bool {
					return len(ids) > 0 && !ids[p.ID] || len(ids) == 0 && !opt.all && !command.IsLive(p)
				}), err
			})
		}),
	}
}
