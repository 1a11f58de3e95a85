package main

import (
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
	opt.style = s.logStyle(s.flags) // by now env files have had their say
	wanted := func(p engine.Pod) bool {
		return !isOneOff(p) && (len(opt.services) == 0 || slices.Contains(opt.services, p.Spec.Labels[project.LabelService])) &&
			(opt.index == 0 || numberOf(p) == opt.index)
	}
	pods, err := s.chosen(t, false, wanted)
	if err != nil {
		return err
	}
	if opt.index > 0 && len(pods) == 0 {
		return noReplica(opt.services[0], opt.index)
	}
	printer := newLogPrinter(s.con, opt.style)
	printer.add(labelsOf(pods))
	kept := keptLogs{s.engine, s.con}
	if !opt.read.Follow {
		return printLogs(ctx, kept, pods, opt.read, printer.all)
	}
	f := &logFollower{
		engine: kept, group: t.name, wanted: wanted, opt: opt.read, printer: printer, idle: func(ctx context.Context) error {
			return project.Deps{RunDir: s.runRoot}.Idle(ctx, t.name)
		},
	}
	return f.run(ctx)
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

// printLogs reads the logs of all pods at once and passes their lines on in the order in which they were written. If it follows,
// it ends when the pods have ended.
func printLogs(ctx context.Context, src logSource, pods []engine.Pod, opt engine.LogOptions, out func([]logLine)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	streams := make([]chan []logLine, len(pods))
	ends := make(chan error, len(pods))
	for i, p := range pods {
		streams[i] = make(chan []logLine, 4)
		go func() {
			defer close(streams[i])
			ends <- readLog(ctx, src, p.Spec.Name, opt, streams[i])
		}()
	}
	live := make(chan []logLine, 16)
	left := make(chan struct{}, len(pods))
	open := merge(streams, out)
	for _, s := range open {
		go forward(s, live, left)
	}
	window := newReorder(out)
	for n := len(open); n > 0; {
		select {
		case lines := <-live:
			window.add(lines)
		case <-window.timer.C:
			window.flush()
		case <-left:
			n--
		}
	}
	window.drain(live)
	var errs []error
	for range pods {
		if err := <-ends; err != nil && !errdefs.IsNotFound(err) { // removed meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func forward(from <-chan []logLine, to chan<- []logLine, left chan<- struct{}) {
	for lines := range from {
		to <- lines
	}
	left <- struct{}{}
}

// linesAtOnce is how many lines are passed on together, at most.
const linesAtOnce = 512

// readLog reads the output of one pod. An empty batch stands for the moment when a reader who follows has passed on what there
// was at first.
func readLog(ctx context.Context, src logSource, pod string, opt engine.LogOptions, to chan<- []logLine) error {
	var batch []logLine
	var text []byte // of the batch
	send := func(lines []logLine) error {
		select {
		case to <- lines:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		lines := batch
		batch, text = nil, nil
		return send(lines)
	}
	marked := false
	opt.CaughtUp = func() error {
		err := flush()
		if err == nil && !marked {
			marked, err = true, send(nil)
		}
		return err
	}
	err := src.Logs(ctx, pod, opt, func(l engine.LogLine) error {
		begin := len(text)
		text = append(text, l.Text...)
		batch = append(batch, logLine{pod: pod, stderr: l.Stream == "stderr", time: l.Time, text: text[begin:len(text):len(text)]})
		if len(batch) == linesAtOnce {
			return flush()
		}
		return nil
	})
	return errors.Join(err, flush())
}

// merge passes on the lines of streams until each has ended or has passed on what there was at first, the oldest first. It
// returns those that go on.
func merge(streams []chan []logLine, out func([]logLine)) (open []chan []logLine) {
	heads := make([][]logLine, len(streams)) // what was received and not passed on
	next := func(i int) {
		if heads[i] = heads[i][min(1, len(heads[i])):]; len(heads[i]) > 0 {
			return
		}
		lines, ok := <-streams[i]
		if ok && len(lines) == 0 {
			open = append(open, streams[i])
		}
		heads[i] = lines
	}
	for i := range streams {
		next(i)
	}
	var batch []logLine
	for {
		first := -1
		for i, h := range heads {
			if len(h) > 0 && (first < 0 || h[0].time.Before(heads[first][0].time)) {
				first = i
			}
		}
		if first >= 0 {
			batch = append(batch, heads[first][0])
			next(first)
		}
		if len(batch) > 0 && (first < 0 || len(batch) == linesAtOnce) {
			out(batch)
			batch = batch[:0]
		}
		if first < 0 {
			return open
		}
	}
}

// reorderWindow is how long a followed line may wait for an older one of another container.
const reorderWindow = 50 * time.Millisecond

// reorder sorts the lines of several containers within a short window.
type reorder struct {
	out   func([]logLine)
	lines []logLine
	timer *time.Timer
}

func newReorder(out func([]logLine)) *reorder {
	r := &reorder{out: out, timer: time.NewTimer(0)}
	r.timer.Stop()
	return r
}

// mostReordered bounds the memory of a window, in lines.
const mostReordered = 16 << 10

func (r *reorder) add(lines []logLine) {
	if len(r.lines) == 0 && len(lines) > 0 {
		r.timer.Reset(reorderWindow)
	}
	if r.lines = append(r.lines, lines...); len(r.lines) >= mostReordered {
		r.flush()
	}
}

func (r *reorder) flush() {
	r.timer.Stop()
	if len(r.lines) == 0 {
		return
	}
	slices.SortStableFunc(r.lines, func(a, b logLine) int { return a.time.Compare(b.time) })
	r.out(r.lines)
	clear(r.lines) // they hold on to their text
	r.lines = r.lines[:0]
}

// drain passes on what is left, once nobody adds to it.
func (r *reorder) drain(from <-chan []logLine) {
	for len(from) > 0 {
		r.add(<-from)
	}
	r.flush()
}
