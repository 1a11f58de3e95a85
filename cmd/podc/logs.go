package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/engine"
	"podc.example/podc/project"
)

// logsOptions are the flags of `logs`.
type logsOptions struct {
	services []string
	index    int // 0: every replica
	read     engine.LogOptions
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

// logOptions reads --follow, --since, --until and --tail.
func logOptions(c *cli.Context, now time.Time) (opt engine.LogOptions, err error) {
	opt.Follow = c.Bool("follow")
	if opt.Since, err = parseTime("since", c.String("since"), now); err != nil {
		return opt, err
	}
	if opt.Until, err = parseTime("until", c.String("until"), now); err != nil {
		return opt, err
	}
	opt.Tail, err = parseTail(c.String("tail"))
	return opt, err
}

// parseTail reads --tail; -1 is all.
func parseTail(s string) (int, error) {
	if s == "all" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, usage("invalid --tail %q: want a number or \"all\"", s)
	}
	return max(n, -1), nil
}

// parseTime reads a moment: RFC 3339 with or without its smaller parts, seconds since 1970, or how long ago.
func parseTime(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if sec, frac, _ := strings.Cut(s, "."); strings.Trim(sec+frac, "0123456789") == "" && len(frac) <= 9 {
		n, err1 := strconv.ParseInt(sec, 10, 64)
		ns, err2 := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		if err1 == nil && err2 == nil {
			return time.Unix(n, ns), nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("invalid --%s %q: want a time (2026-01-31T12:00:00), seconds since 1970, or how long ago (42m)", flag, s)
}

func (s *session) logs(ctx context.Context, opt logsOptions) error {
	t, err := s.target(ctx, opt.services)
	if err != nil {
		return err
	}
	all, err := s.engine.Pods(t.Name)
	if err != nil {
		return err
	}
	opt.style = s.logStyle(s.flags) // by now env files have had their say
	pods := slices.DeleteFunc(all, func(p engine.Pod) bool {
		service := p.Spec.Labels[project.LabelService]
		return isOneOff(p) || len(opt.services) > 0 && !slices.Contains(opt.services, service) || opt.index > 0 && numberOf(p) != opt.index
	})
	if opt.index > 0 && len(pods) == 0 {
		return noReplica(opt.services[0], opt.index)
	}
	printer := newLogPrinter(s.con, opt.style)
	printer.add(labelsOf(pods))
	return printLogs(ctx, s.engine, pods, opt.read, printer.line)
}

// labelsOf names pods as prefixes do: without their project, unless the name is one of their own.
func labelsOf(pods []engine.Pod) map[string]string {
	labels := map[string]string{}
	for _, p := range pods {
		labels[p.Spec.Name] = labelOf(p)
	}
	return labels
}

func labelOf(p engine.Pod) string {
	l := p.Spec.Labels
	for _, sep := range []string{"-", "_"} {
		short := l[project.LabelService] + sep + l[project.LabelNumber]
		if p.Spec.Name == l[project.LabelProject]+sep+short {
			return short
		}
	}
	return p.Spec.Name
}

// logSource is what reads the output of one pod.
type logSource interface {
	Logs(ctx context.Context, name string, opt engine.LogOptions, out func(engine.LogLine) error) error
}

// printLogs reads the logs of all pods at once and passes their lines on in the order in which they were written.
func printLogs(ctx context.Context, src logSource, pods []engine.Pod, opt engine.LogOptions, out func(logLine)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	streams := make([]chan logLine, len(pods))
	ends := make(chan error, len(pods))
	for i, p := range pods {
		streams[i] = make(chan logLine, 64)
		go func() {
			defer close(streams[i])
			ends <- readLog(ctx, src, p.Spec.Name, opt, streams[i])
		}()
	}
	if opt.Follow {
		interleave(streams, out)
	} else {
		merge(streams, out)
	}
	var errs []error
	for range pods {
		if err := <-ends; err != nil && !errdefs.IsNotFound(err) { // removed meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func readLog(ctx context.Context, src logSource, pod string, opt engine.LogOptions, to chan<- logLine) error {
	return src.Logs(ctx, pod, opt, func(l engine.LogLine) error {
		line := logLine{pod: pod, stderr: l.Stream == "stderr", time: l.Time, text: bytes.Clone(l.Text)}
		select {
		case to <- line:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// merge passes on the lines of streams that end, the oldest first.
func merge(streams []chan logLine, out func(logLine)) {
	heads := make([]*logLine, len(streams))
	next := func(i int) {
		heads[i] = nil
		if l, ok := <-streams[i]; ok {
			heads[i] = &l
		}
	}
	for i := range streams {
		next(i)
	}
	for {
		first := -1
		for i, h := range heads {
			if h != nil && (first < 0 || h.time.Before(heads[first].time)) {
				first = i
			}
		}
		if first < 0 {
			return
		}
		out(*heads[first])
		next(first)
	}
}

// reorderWindow is how long a followed line may wait for an older one of another container.
const reorderWindow = 50 * time.Millisecond

// interleave passes on the lines of streams that go on, sorted within a short window.
func interleave(streams []chan logLine, out func(logLine)) {
	lines := make(chan logLine, 64)
	left := make(chan struct{})
	for _, s := range streams {
		go func() {
			for l := range s {
				lines <- l
			}
			left <- struct{}{}
		}()
	}
	var batch []logLine
	flush := func() {
		slices.SortStableFunc(batch, func(a, b logLine) int { return a.time.Compare(b.time) })
		for _, l := range batch {
			out(l)
		}
		batch = batch[:0]
	}
	window := time.NewTimer(reorderWindow)
	defer window.Stop()
	for open := len(streams); open > 0; {
		select {
		case l := <-lines:
			if len(batch) == 0 {
				window.Reset(reorderWindow)
			}
			if batch = append(batch, l); len(batch) == cap(lines)*64 {
				flush()
			}
		case <-window.C:
			flush()
		case <-left:
			open--
		}
	}
	for len(lines) > 0 {
		batch = append(batch, <-lines)
	}
	flush()
}
