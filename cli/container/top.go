package container

import (
	"cmp"
	"context"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

func TopCommand() *command.Command {
	return &command.Command{
		Name: "top", Usage: "list the processes of containers", Args: command.AnyServices,
		Run: func(s *command.Session, c *cli.Context) error { return top(c.Context, s, c.Args().Slice()) },
	}
}

func containerTopCommand() *command.Command {
	return &command.Command{
		Name: "top", Usage: "list the processes of a container", Args: command.OneContainer,
		TooMany: "options of ps are not available, since podc asks the kernel itself",
		Run: func(s *command.Session, c *cli.Context) error {
			list, err := s.Podc.Containers.Processes(c.Context, c.Args().First())
			if err != nil {
				return err
			}
			tw := show.NewTable(s.Con.Out)
			fmt.Fprintln(tw, strings.Join(psTitles, "\t"))
			for _, row := range psRowsOf(list, time.Now()) {
				for i := range row {
					row[i] = strings.ReplaceAll(show.OneLine(show.Printable(row[i])), "\t", " ")
				}
				fmt.Fprintln(tw, strings.Join(row, "\t"))
			}
			return tw.Flush()
		},
	}
}

func top(ctx context.Context, s *command.Session, services []string) error {
	t, err := s.Target(ctx, services)
	if err != nil {
		return err
	}
	pods, err := s.Chosen(t, false, command.IsLive)
	if err != nil || len(pods) == 0 {
		return err
	}
	tw := show.NewTable(s.Con.Out)
	fmt.Fprintln(tw, strings.Join(append([]string{"SERVICE", "#"}, psTitles...), "\t"))
	for _, p := range pods {
		list, err := s.Podc.Containers.Processes(ctx, p.Spec.Name)
		if errdefs.IsFailedPrecondition(err) || errdefs.IsNotFound(err) { // it has ended meanwhile
			continue
		}
		if err != nil {
			return err
		}
		labels := p.Spec.Labels
		for _, row := range psRowsOf(list, time.Now()) {
			cells := append([]string{labels[project.LabelService], labels[project.LabelNumber]}, row...)
			for i, cell := range cells {
				cells[i] = show.OneLine(show.Printable(cell))
				if cells[i] == "" {
					cells[i] = "-"
				}
			}
			fmt.Fprintln(tw, strings.Join(cells, "\t"))
		}
	}
	return tw.Flush()
}

// psTitles are the columns of `ps -ef`, which docker's top shows.
var psTitles = []string{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}

// psRowsOf describes processes as `ps -ef` does.
func psRowsOf(list []api.ProcessInfo, now time.Time) [][]string {
	names := map[int]string{}
	var rows [][]string
	for _, p := range list {
		if _, known := names[p.UID]; !known {
			names[p.UID] = userName(p.UID)
		}
		rows = append(rows, []string{
			names[p.UID], strconv.Itoa(p.Pid), strconv.Itoa(p.Parent), strconv.Itoa(cpuPercent(p, now)),
			startedAt(p.Started, now), cmp.Or(p.TTY, "?"), clock(p.CPU), commandLine(p),
		})
	}
	return rows
}

// userName is the host's name for a user, as far as ps shows it: longer ones are numbers.
func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil && len(u.Username) <= 8 {
		return u.Username
	}
	return id
}

// cpuPercent is the CPU time of a process in percent of its life.
func cpuPercent(p api.ProcessInfo, now time.Time) int {
	life := now.Sub(p.Started).Truncate(time.Second)
	if life <= 0 {
		return 0
	}
	return min(int(100*p.CPU/life), 99*max(p.Threads, 1))
}

// startedAt is the hour of today, the day of this year, or the year.
func startedAt(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	switch {
	case t.Year() != now.Year():
		return t.Format("2006")
	case t.YearDay() != now.YearDay():
		return t.Format("Jan02")
	}
	return t.Format("15:04")
}

// clock is a time of CPU: "00:01:02", "3-04:05:06".
func clock(d time.Duration) string {
	s := int(d.Seconds())
	days, s := s/86400, s%86400
	text := fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
	if days > 0 {
		text = strconv.Itoa(days) + "-" + text
	}
	return text
}

func commandLine(p api.ProcessInfo) string {
	switch {
	case p.State == "Z":
		return "[" + p.Name + "] <defunct>"
	case len(p.Args) == 0:
		return "[" + p.Name + "]"
	}
	return strings.Join(p.Args, " ")
}
