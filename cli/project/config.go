package project

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/internal/rootkey"
)

// ConfigCommand hands everything on to `podc-compose config`, which owns the flags.
func ConfigCommand() *command.Command {
	return &command.Command{
		Name: "config", Usage: "check the compose file and print what it means; config create, ls, inspect and rm manage external configs",
		Args:  command.AnyServices,
		Flags: configFlags(),
		Needs: command.NoRoot,
		Run: func(s *command.Session, c *cli.Context) error {
			args := configArgs(c, s.Globals)
			if c.IsSet("hash") {
				if err := s.Con.NeedRoot(); err != nil { // the hashes that containers bear are made with the key of the data root
					return err
				}
				if _, saved, err := rootkey.Of(s.Root); err == nil && saved {
					args = append([]string{"--key-file=" + rootkey.Path(s.Root)}, args...)
				}
			}
			return runConfig(c.Context, s.Con, args)
		},
	}
}

// configValues say what the flags of podc-compose are, by what it calls their values.
var configValues = map[string]command.Value{
	"FILE": command.File, "FORMAT": command.OneOf("FORMAT", "yaml", "json"), "SERVICES": {Name: "SERVICES", Kind: command.ServiceNames},
}

// configFlags are those of podc-compose that are no global flags of podc.
func configFlags() []*command.Flag {
	var flags []*command.Flag
	global := command.GlobalFlags()
	for _, f := range podccompose.ConfigFlags() {
		if command.FlagNamed(global, f.Name, true) != nil {
			continue
		}
		flag := command.Toggle(f.Name, f.Usage, command.NonEmpty(f.Short)...)
		switch {
		case f.Repeated:
			flag = command.List(f.Name, configValues[f.Value], f.Usage, command.NonEmpty(f.Short)...)
		case f.Value != "":
			flag = command.Text(f.Name, configValues[f.Value], f.Usage, command.NonEmpty(f.Short)...)
		}
		if f.Hidden {
			flag = command.Hidden(flag)
		}
		flags = append(flags, flag)
	}
	return flags
}

// configArgs spells out the flags that were given, and the services.
func configArgs(c *cli.Context, g command.Globals) []string {
	var args []string
	for _, f := range podccompose.ConfigFlags() {
		switch {
		case f.Name == "compatibility":
			if g.Compatibility {
				args = append(args, "--compatibility")
			}
		case !c.IsSet(f.Name):
		case f.Repeated:
			for _, v := range c.StringSlice(f.Name) {
				args = append(args, "--"+f.Name+"="+v)
			}
		case f.Value != "":
			args = append(args, "--"+f.Name+"="+c.String(f.Name))
		case c.Bool(f.Name):
			args = append(args, "--"+f.Name)
		}
	}
	return append(append(args, "--"), c.Args().Slice()...)
}

func runConfig(ctx context.Context, con *show.Console, args []string) error {
	args, files := helper.HandOver(args, 3)
	defer helper.CloseAll(files)
	r := helper.Run{Args: append([]string{podccompose.Config}, args...), Stdin: con.In, Stdout: con.Out, Files: files,
		Stderr: func(line []byte) { fmt.Fprintln(con.Err, show.Printable(string(line))) }}
	if con.OutTTY { // YAML quotes what is not text, but lists of names and variables are as they are
		out := &helper.Lines{Each: func(line []byte) { fmt.Fprintln(con.Out, show.Printable(string(line))) }}
		defer out.Flush()
		r.Stdout = out
	}
	err := con.Helper(podccompose.Program, podccompose.Deadline).Run(ctx, r)
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return fault.Silent(exit.ExitCode()) // it has said why
	}
	return err
}
