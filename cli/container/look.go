package container

import (
	"cmp"
	"context"
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

func containerInspectCommand() *command.Command {
	return &command.Command{
		Name: "inspect", Usage: "show all about containers", Args: command.Containers,
		Flags: command.InspectFlags(command.Toggle("size", "the size of its files too", "s")),
		Run: func(s *command.Session, c *cli.Context) error {
			return command.InspectEach(s, c, func(ctx context.Context, arg string) (dockerapi.Container, error) {
				return s.Podc.Containers.Inspect(ctx, arg, c.Bool("size"))
			})
		},
	}
}

func containerLogsCommand() *command.Command {
	return &command.Command{
		Name: "logs", Usage: "show the output of a container", Args: command.OneContainer, Flags: command.LogFlags(),
		Refused: command.Refused{"details": "podc keeps no attributes of log lines"},
		Run: func(s *command.Session, c *cli.Context) error {
			read, err := command.LogOptions(c, time.Now())
			if err != nil {
				return err
			}
			printer := show.NewLogPrinter(s.Con, show.LogStyle{Timestamps: c.Bool("timestamps"), Color: s.Color(s.Con.OutTTY)})
			return s.Podc.Streams.Logs(c.Context, control.Selection{Names: c.Args().Slice()}, read, printer.Output())
		},
	}
}

func containerPortCommand() *command.Command {
	return &command.Command{
		Name: "port", Usage: "list where a container's ports are published",
		Args: command.Args{command.One(command.Container), command.Maybe(command.Word("PORT[/PROTOCOL]"))},
		Run: func(s *command.Session, c *cli.Context) error {
			p, err := s.Container(c.Args().First())
			if err != nil {
				return err
			}
			lines, err := portLines(p, c.Args().Get(1))
			for _, l := range lines {
				fmt.Fprintln(s.Con.Out, l)
			}
			return err
		},
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
