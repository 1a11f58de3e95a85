package container

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
)

// statsOptions are the flags of `stats`.
type statsOptions struct {
	format string
	once   bool
	full   bool // whole ids
}

const (
	// statsEvery is how far apart the lines of a stream are; what they tell is an average of that time.
	statsEvery = time.Second
	// statsGlance is over how long a single look measures.
	statsGlance = 500 * time.Millisecond
)

func StatsCommand() *command.Command {
	return statsCommand(command.Maybe(command.Service), func(s *command.Session, c *cli.Context, all bool) (lister, error) {
		t, err := s.Target(c.Context, c.Args().Slice())
		return func() ([]api.Pod, error) {
			return s.Chosen(t, true, func(p api.Pod) bool { return all || command.IsLive(p) })
		}, err
	})
}

func containerStatsCommand() *command.Command {
	return statsCommand(command.Any(command.Container), func(s *command.Session, c *cli.Context, all bool) (lister, error) {
		ids := map[string]bool{}
		for _, arg := range c.Args().Slice() {
			p, err := s.Container(arg)
			if err != nil {
				return nil, err
			}
			ids[p.ID] = true
		}
		return func() ([]api.Pod, error) {
			pods, err := s.Podc.Containers.List(c.Context, control.Selection{})
			return slices.DeleteFunc(pods, func(p api.Pod) bool {
				return len(ids) > 0 && !ids[p.ID] || len(ids) == 0 && !all && !command.IsLive(p)
			}), err
		}, nil
	})
}

// lister finds the containers that are looked at.
type lister func() ([]api.Pod, error)

func statsCommand(arg command.Arg, find func(s *command.Session, c *cli.Context, all bool) (lister, error)) *command.Command {
	return &command.Command{
		Name: "stats", Usage: "show what containers use", Args: command.Args{arg},
		Flags: []*command.Flag{
			command.Toggle("all", "stopped containers too", "a"),
			command.Text("format", command.Format("table", "json"), ""),
			command.Toggle("no-stream", "look once"),
			command.Toggle("no-trunc", "do not shorten"),
		},
		Run: func(s *command.Session, c *cli.Context) error {
			list, err := find(s, c, c.Bool("all"))
			if err != nil {
				return err
			}
			return stats(c.Context, s, statsOptions{c.String("format"), c.Bool("no-stream"), c.Bool("no-trunc")}, list)
		},
	}
}

// stats shows the usage of the pods that list finds, again and again: those that appear meanwhile too.
func stats(ctx context.Context, s *command.Session, opt statsOptions, list lister) error {
	if err := checkFormat(opt.format); err != nil {
		return err
	}
	every := statsEvery
	if opt.once {
		every = statsGlance
	}
	before := map[string]api.Usage{}
	if _, err := sample(ctx, s, list, before); err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		now := map[string]api.Usage{}
		pods, err := sample(ctx, s, list, now)
		if err != nil {
			return err
		}
		rows := make([]statsRow, 0, len(pods))
		for _, p := range pods {
			rows = append(rows, statsRowOf(p, before[p.ID], now[p.ID], opt.full))
		}
		if s.Con.OutTTY && !opt.once && opt.format != "json" {
			fmt.Fprint(s.Con.Out, "\x1b[H\x1b[2J")
		}
		if err := show.PrintList(s.Con.Out, opt.format, statsLayout, rows, false); err != nil || opt.once {
			return err
		}
		before = now
	}
}

// checkFormat refuses a template that cannot be read before anything is measured.
func checkFormat(format string) error {
	if format == "" || format == "table" || format == "json" {
		return nil
	}
	_, err := show.ParseTemplate(format)
	return err
}

// sample reads the usage of all pods; those that do not run have none.
func sample(ctx context.Context, s *command.Session, list lister, into map[string]api.Usage) ([]api.Pod, error) {
	pods, err := list()
	if err != nil {
		return nil, err
	}
	for _, p := range pods {
		if !command.IsLive(p) {
			continue
		}
		u, err := s.Podc.Containers.Usage(ctx, p.Spec.Name)
		if errdefs.IsFailedPrecondition(err) || errdefs.IsNotFound(err) { // it has ended meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		into[p.ID] = u
	}
	return pods, nil
}

// statsRow is one container as `stats` shows it: docker's keys.
type statsRow struct {
	BlockIO   string
	CPUPerc   string
	Container string
	ID        string
	MemPerc   string
	MemUsage  string
	Name      string
	NetIO     string
	PIDs      string
}

var statsLayout = show.Layout{
	Columns: []show.Column{{"CONTAINER ID", "ID"}, {"NAME", "Name"}, {"CPU %", "CPUPerc"}, {"MEM USAGE / LIMIT", "MemUsage"}, {"MEM %", "MemPerc"},
		{"NET I/O", "NetIO"}, {"BLOCK I/O", "BlockIO"}, {"PIDS", "PIDs"}},
	Headers: map[string]string{"Container": "CONTAINER"},
}

// statsRowOf describes what a container used between two looks. Without a look before it is taken to have done nothing so far.
func statsRowOf(p api.Pod, before, now api.Usage, full bool) statsRow {
	row := statsRow{Container: p.ID, ID: p.ID, Name: p.Spec.Name}
	if !full {
		row.Container, row.ID = dockerapi.ShortID(p.ID), dockerapi.ShortID(p.ID)
	}
	cpu, memory := 0.0, 0.0
	if elapsed := now.Read.Sub(before.Read); !before.Read.IsZero() && elapsed > 0 {
		cpu = max(0, 100*float64(now.CPU-before.CPU)/float64(elapsed))
	}
	used := now.Memory - now.Cache
	if now.MemoryLimit > 0 {
		memory = 100 * float64(used) / float64(now.MemoryLimit)
	}
	var rx, tx int64
	for _, n := range now.Networks {
		rx, tx = rx+n.RxBytes, tx+n.TxBytes
	}
	row.CPUPerc, row.MemPerc = fmt.Sprintf("%.2f%%", cpu), fmt.Sprintf("%.2f%%", memory)
	row.MemUsage = units.BytesSize(float64(used)) + " / " + units.BytesSize(float64(now.MemoryLimit))
	row.NetIO, row.BlockIO = show.Size(rx)+" / "+show.Size(tx), show.Size(now.BlockRead)+" / "+show.Size(now.BlockWrite)
	row.PIDs = fmt.Sprint(now.Pids)
	return row
}
