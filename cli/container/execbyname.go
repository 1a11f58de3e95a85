package container

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

func containerExecCommand(con *show.Console) *cli.Command {
	no := command.Refused{"detach-keys=": "an exec is left by ending it"}
	return &cli.Command{
		Name: "exec", Usage: "run a command in a running container", ArgsUsage: "CONTAINER COMMAND [ARG...]",
		Flags: append([]cli.Flag{
			command.Toggle("detach", "do not wait for the command", "d"),
			command.List("env", "environment variable, `NAME=VALUE` or NAME, repeatable", "e"),
			command.List("env-file", "`FILE` with environment variables, repeatable"),
			command.Toggle("interactive", "pass the standard input on", "i"),
			command.Toggle("privileged", "give the command all capabilities"),
			command.Toggle("tty", "with a terminal", "t"),
			command.Text("user", "run as `USER[:GROUP]`", "u"),
			command.Text("workdir", "run in `DIR`", "w"),
		}, no.Flags()...),
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			if err := no.Check(c); err != nil {
				return err
			}
			if err := command.NeedArgs(c, 2); err != nil {
				return err
			}
			if c.Bool("tty") && c.Bool("interactive") && !con.InTTY {
				return fault.Invalid("the standard input is no terminal: --tty cannot be used with --interactive")
			}
			env, err := envFiles(con.Dir, c.StringSlice("env-file"))
			if err != nil {
				return err
			}
			p, err := s.Container(c.Args().First())
			if err != nil {
				return err
			}
			return execIn(c.Context, s, p, execOptions{
				command: c.Args().Tail(), detach: c.Bool("detach"), interactive: c.Bool("interactive"),
				env: append(env, c.StringSlice("env")...), noTTY: !c.Bool("tty"), privileged: c.Bool("privileged"),
				user: c.String("user"), workdir: c.String("workdir"),
			})
		}),
	}
}

// maxEnvFile is the largest file of variables, in bytes: a process does not take more.
const maxEnvFile = 2 << 20

// envFiles reads docker's files of variables: NAME=VALUE or NAME a line, taken as they stand; "#" begins a comment.
func envFiles(dir string, paths []string) ([]string, error) {
	var env []string
	for _, path := range paths {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		b, err := disk.ReadGiven(path, maxEnvFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the variables of --env-file %s: %w", path, err)
		}
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t"); line != "" && !strings.HasPrefix(line, "#") {
				env = append(env, line)
			}
		}
	}
	return env, nil
}
