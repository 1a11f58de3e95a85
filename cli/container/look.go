package container

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/fault"
)

func containerInspectCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: "show all about containers", ArgsUsage: "CONTAINER...",
		Flags: []cli.Flag{
			command.Text("format", "json or a Go template (`FORMAT`)", "f"),
			command.Toggle("size", "the size of its files too", "s"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if err := command.NeedArgs(c, 1); err != nil {
				return err
			}
			return command.InspectEach(con, c, func(arg string) (dockerapi.Container, error) {
				return s.Podc.Containers.Inspect(c.Context, arg, c.Bool("size"))
			})
		}),
	}
}

func containerLogsCommand(con *show.Console) *cli.Command {
	no := command.Refused{"details": "podc keeps no attributes of log lines"}
	return &cli.Command{
		Name: "logs", Usage: "show the output of a container", ArgsUsage: "CONTAINER",
		Flags: append([]cli.Flag{
			command.Toggle("follow", "go on as output comes", "f"),
			command.Text("since", "only lines after `TIME`: RFC 3339, seconds since 1970, or relative (42m)"),
			command.Text("until", "only lines before `TIME`"),
			command.TextOr("tail", "all", "only the last `N` lines", "n"),
			command.Toggle("timestamps", "a time before each line", "t"),
		}, no.Flags()...),
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if err := no.Check(c); err != nil {
				return err
			}
			if c.NArg() != 1 {
				return fault.Invalid("logs needs one argument: CONTAINER")
			}
			read, err := command.LogOptions(c, time.Now())
			if err != nil {
				return err
			}
			printer := show.NewLogPrinter(con, show.LogStyle{Timestamps: c.Bool("timestamps"), Color: s.Color(con.OutTTY)})
			return s.Podc.Streams.Logs(c.Context, control.Selection{Names: c.Args().Slice()}, read, printer.Output())
		}),
	}
}

func containerPortCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "port", Usage: "list where a container's ports are published", ArgsUsage: "CONTAINER [PORT[/PROTOCOL]]",
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if c.NArg() < 1 || c.NArg() > 2 {
				return fault.Invalid("port needs one or two arguments: %s", c.Command.ArgsUsage)
			}
			p, err := s.Container(c.Args().First())
			if err != nil {
				return err
			}
			lines, err := portLines(p, c.Args().Get(1))
			for _, l := range lines {
				fmt.Fprintln(con.Out, l)
			}
			return err
		}),
	}
}

// portLines are where ports are published: all of them, or one, "80" or "80/udp".
func portLines(p api.Pod, only string) ([]string, error) {
	number, protocol, _ := strings.Cut(only, "/")
	want, err := strconv.ParseUint(cmp.Or(number, "0"), 10, 16)
	if err != nil {
		return nil, fault.Invalid("invalid port %q: want a number, or NUMBER/PROTOCOL", only)
	}
	var lines []string
	for _, pub := range api.PerFamily(p.Ports) {
		host := fmt.Sprintf("%s:%d", dockerapi.HostAddress(pub), pub.HostPort)
		switch {
		case only == "":
			lines = append(lines, fmt.Sprintf("%d/%s -> %s", pub.Container, pub.Protocol, host))
		case uint64(pub.Container) == want && pub.Protocol == cmp.Or(protocol, "tcp"):
			lines = append(lines, host)
		}
	}
	if only != "" && len(lines) == 0 {
		return nil, fault.New(errdefs.ErrNotFound, "no public port %q is published for %s", only, p.Spec.Name)
	}
	slices.Sort(lines)
	return lines, nil
}
