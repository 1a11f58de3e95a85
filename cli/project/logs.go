package project

import (
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
)

func LogsCommand() *command.Command {
	return &command.Command{
		Name: "logs", Usage: "show the output of containers", Args: command.AnyServices,
		Examples: []string{"podc logs -f --since 5m web"},
		Flags: append(command.LogFlags(),
			command.Number("index", 0, "NUMBER", "NUMBER of the replica of the one service named"),
			command.Toggle("no-color", "no colours"),
			command.Toggle("no-log-prefix", "no names before lines"),
		),
		Run: logs,
	}
}

func logs(s *command.Session, c *cli.Context) error {
	read, err := command.LogOptions(c, time.Now())
	if err != nil {
		return err
	}
	index := c.Int("index")
	if index != 0 && c.NArg() != 1 {
		return fault.Invalid("--index needs exactly one service")
	}
	t, err := s.Target(c.Context, c.Args().Slice())
	if err != nil {
		return err
	}
	sel := t.Selection(false)
	sel.Number = index
	if index > 0 {
		if pods, err := s.Podc.Containers.List(c.Context, sel); err == nil && len(pods) == 0 {
			return command.NoReplica(t.Services[0], index)
		}
	}
	style := logStyle(s, c) // by now env files have had their say
	return s.Podc.Streams.Logs(c.Context, sel, read, show.NewLogPrinter(s.Con, style).Output())
}
