package project

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/container"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
)

// psOptions are the flags of `ps`.
type psOptions struct {
	services []string
	all      bool
	statuses []string
	format   string
	full     bool
	orphans  bool
	quiet    bool // ids only
	names    bool // of services only
}

func PsCommand() *command.Command {
	status := command.Value{Name: "STATUS", Words: psStatuses, Free: true} // checked with those of --filter
	return &command.Command{
		Name: "ps", Usage: "list containers", Args: command.AnyServices,
		Flags: []*command.Flag{
			command.Toggle("all", "stopped containers too", "a"),
			command.List("filter", command.Word("status=STATUS"), "only containers for which status=STATUS holds"),
			command.Text("format", command.Format("table", "json"), ""),
			command.Toggle("no-trunc", "do not shorten"),
			command.ToggleOn("orphans", "containers of services that are not in the file too"),
			command.Toggle("quiet", "only ids", "q"),
			command.Toggle("services", "only the names of services"),
			command.List("status", status, "only containers with STATUS, repeatable"),
		},
		Run: func(s *command.Session, c *cli.Context) error {
			opt := psOptions{services: c.Args().Slice(), all: c.Bool("all"), statuses: c.StringSlice("status"),
				format: c.String("format"), full: c.Bool("no-trunc"), orphans: c.Bool("orphans"), quiet: c.Bool("quiet"),
				names: c.Bool("services")}
			for _, f := range c.StringSlice("filter") {
				status, ok := strings.CutPrefix(f, "status=")
				if !ok {
					return fault.Invalid("unknown --filter %q: want status=STATUS", f)
				}
				opt.statuses = append(opt.statuses, status)
			}
			for _, status := range opt.statuses {
				if !slices.Contains(psStatuses, status) {
					return fault.Invalid("unknown status %q: want one of %s", status, strings.Join(psStatuses, ", "))
				}
			}
			return ps(c.Context, s, opt)
		},
	}
}

var psStatuses = []string{"created", "running", "restarting", "paused", "exited", "removing", "dead"}

func ps(ctx context.Context, s *command.Session, opt psOptions) error {
	all := sync.OnceValues(func() ([]api.Pod, error) { return s.Podc.Containers.List(ctx, control.Selection{}) })
	go all() // while the project is found out
	t, err := s.Target(ctx, opt.services)
	if err != nil {
		return err
	}
	pods, err := all()
	if err != nil {
		return err
	}
	pods = slices.DeleteFunc(pods, func(p api.Pod) bool { return p.Spec.Group != t.Name })
	return printPods(s.Con, selectPods(t, pods, opt), opt, time.Now())
}

// selectPods keeps, of pods, those that `ps` lists; it reuses pods.
func selectPods(t command.Target, pods []api.Pod, opt psOptions) []api.Pod {
	return slices.DeleteFunc(pods, func(p api.Pod) bool {
		service := p.Spec.Labels[project.LabelService]
		switch {
		case len(opt.statuses) > 0:
			if !slices.Contains(opt.statuses, string(p.Status)) {
				return true
			}
		case !opt.all && (!p.Status.Up() || control.IsOneOff(p)):
			return true
		}
		if len(t.Services) > 0 {
			return !slices.Contains(t.Services, service)
		}
		return !opt.orphans && t.Modelled && !slices.Contains(t.Known, service)
	})
}

func printPods(con *show.Console, pods []api.Pod, opt psOptions, now time.Time) error {
	switch {
	case opt.quiet:
		for _, p := range pods {
			fmt.Fprintln(con.Out, p.ID)
		}
		return nil
	case opt.names:
		var names []string
		for _, p := range pods {
			if name := p.Spec.Labels[project.LabelService]; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		for _, name := range names {
			fmt.Fprintln(con.Out, show.Printable(name))
		}
		return nil
	}
	rows := make([]container.PsRow, 0, len(pods))
	for _, p := range pods {
		rows = append(rows, container.PsRowOf(p, now, opt.full))
	}
	return show.PrintList(con.Out, command.Pretty(opt.format), container.PsLayoutOf(rows), rows, false)
}
