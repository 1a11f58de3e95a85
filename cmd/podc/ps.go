package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/control"
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

func psCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "ps", Usage: "list containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			toggle("all", "stopped containers too", "a"),
			list("filter", "only containers for which `status=STATUS` holds"),
			text("format", "table, json or a Go template (`FORMAT`)"),
			toggle("no-trunc", "do not shorten"),
			toggleOn("orphans", "containers of services that are not in the file too"),
			toggle("quiet", "only ids", "q"),
			toggle("services", "only the names of services"),
			list("status", "only containers with `STATUS`: paused, restarting, removing, running, dead, created or exited; repeatable"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			opt := psOptions{services: c.Args().Slice(), all: c.Bool("all"), statuses: c.StringSlice("status"),
				format: c.String("format"), full: c.Bool("no-trunc"), orphans: c.Bool("orphans"), quiet: c.Bool("quiet"),
				names: c.Bool("services")}
			for _, f := range c.StringSlice("filter") {
				status, ok := strings.CutPrefix(f, "status=")
				if !ok {
					return usage("unknown --filter %q: want status=STATUS", f)
				}
				opt.statuses = append(opt.statuses, status)
			}
			for _, status := range opt.statuses {
				if !slices.Contains(psStatuses, status) {
					return usage("unknown status %q: want one of %s", status, strings.Join(psStatuses, ", "))
				}
			}
			return s.ps(c.Context, opt)
		}),
	}
}

var psStatuses = []string{"paused", "restarting", "removing", "running", "dead", "created", "exited"}

func (s *session) ps(ctx context.Context, opt psOptions) error {
	all := sync.OnceValues(func() ([]api.Pod, error) { return s.podc.Containers.List(ctx, control.Selection{}) })
	go all() // while the project is found out
	t, err := s.target(ctx, opt.services)
	if err != nil {
		return err
	}
	pods, err := all()
	if err != nil {
		return err
	}
	pods = slices.DeleteFunc(pods, func(p api.Pod) bool { return p.Spec.Group != t.name })
	return printPods(s.con, t.selectPods(pods, opt), opt, time.Now())
}

// selectPods keeps, of pods, those that `ps` lists; it reuses pods.
func (t target) selectPods(pods []api.Pod, opt psOptions) []api.Pod {
	return slices.DeleteFunc(pods, func(p api.Pod) bool {
		service := p.Spec.Labels[project.LabelService]
		switch {
		case len(opt.statuses) > 0:
			if !slices.Contains(opt.statuses, string(p.Status)) {
				return true
			}
		case !opt.all && (!control.IsUp(p) || control.IsOneOff(p)):
			return true
		}
		if len(t.services) > 0 {
			return !slices.Contains(t.services, service)
		}
		return !opt.orphans && t.modelled && !slices.Contains(t.known, service)
	})
}

func printPods(con *console, pods []api.Pod, opt psOptions, now time.Time) error {
	switch {
	case opt.quiet:
		for _, p := range pods {
			fmt.Fprintln(con.out, p.ID)
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
			fmt.Fprintln(con.out, printable(name))
		}
		return nil
	}
	rows := make([]psRow, 0, len(pods))
	for _, p := range pods {
		rows = append(rows, psRowOf(p, now, opt.full))
	}
	return printList(con.out, pretty(opt.format), psLayoutOf(rows), rows, false)
}
