package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
)

// configCommand hands everything on to `podc-compose config`, which owns the flags.
func configCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "check the compose file and print what it means; config create, ls, inspect and rm manage external configs", ArgsUsage: "[SERVICE...]",
		Flags: configFlags(),
		Action: forAnyone(con, func(s *session, c *cli.Context) error {
			args := configArgs(c, s.globals)
			if c.IsSet("hash") {
				if err := con.needRoot(); err != nil { // the hashes that containers bear are made with the key of the data root
					return err
				}
				if _, saved, err := s.secretKey(); err == nil && saved {
					args = append([]string{"--key-file=" + s.keyPath()}, args...)
				}
			}
			return runConfig(c.Context, con, args)
		}),
	}
}

// configFlags are those of podc-compose that are no global flags of podc.
func configFlags() []cli.Flag {
	var flags []cli.Flag
	global := globalFlags()
	for _, f := range project.ConfigFlags() {
		if flagNamed(global, f.Name, true) != nil {
			continue
		}
		flag := configFlag(f)
		if f.Hidden {
			flag = hidden(flag)
		}
		flags = append(flags, flag)
	}
	return flags
}

func configFlag(f project.ConfigFlag) cli.Flag {
	if f.Value != "" && !strings.Contains(f.Usage, "`") {
		f.Usage += " (`" + f.Value + "`)"
	}
	var short []string
	if f.Short != "" {
		short = []string{f.Short}
	}
	switch {
	case f.Value == "":
		return toggle(f.Name, f.Usage, short...)
	case f.Repeated:
		return list(f.Name, f.Usage, short...)
	}
	return text(f.Name, f.Usage, short...)
}

// configArgs spells out the flags that were given, and the services.
func configArgs(c *cli.Context, g globals) []string {
	var args []string
	for _, f := range project.ConfigFlags() {
		switch {
		case f.Name == "compatibility":
			if g.compatibility {
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

func runConfig(ctx context.Context, con *console, args []string) error {
	args, files := handOver(args)
	defer closeAll(files)
	h := helper{name: "podc-compose", args: append([]string{"config"}, args...), stdin: con.in, stdout: con.out,
		onStderr: func(line []byte) { fmt.Fprintln(con.err, printable(string(line))) },
		files:    files, deadline: composeDeadline}
	if con.outTTY { // YAML quotes what is not text, but lists of names and variables are as they are
		out := &lineWriter{each: func(line []byte) { fmt.Fprintln(con.out, printable(string(line))) }}
		defer out.flush()
		h.stdout = out
	}
	err := h.run(ctx, con)
	if code, ok := exitStatus(err); ok {
		return fault.Silent(code) // it has said why
	}
	return err
}
