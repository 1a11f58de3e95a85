package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"podc.example/podc/api"
)

func exportCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write the root filesystem of a service's container as a tar archive", ArgsUsage: "SERVICE",
		Flags: []cli.Flag{
			number("index", 0, "`NUMBER` of the replica (default: the lowest)"),
			text("output", "write to `FILE`, not to standard output", "o"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("export needs one service: %s", c.Command.ArgsUsage)
			}
			pods, err := s.copyPods(c.Context, c.Args().First(), c.Int("index"), false)
			if err != nil {
				return err
			}
			return s.exportTo(c.Context, pods[0], c.String("output"))
		}),
	}
}

// exportTo writes the root filesystem of a container to a file, or, if that is empty, to standard output.
func (s *session) exportTo(ctx context.Context, p api.Pod, output string) error {
	if output == "" && s.con.outTTY {
		return usage("an archive is not for a terminal: redirect the output, or give a file with -o")
	}
	if s.dryRun {
		return nil
	}
	if output == "" {
		return s.podc.Files.Export(ctx, p.Spec.Name, s.con.out)
	}
	// Beside the file, so that what is there stays until the archive is complete.
	f, err := os.CreateTemp(filepath.Dir(output), "."+filepath.Base(output)+"-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", output, err)
	}
	defer os.Remove(f.Name())
	err = s.podc.Files.Export(ctx, p.Spec.Name, f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), output)
	}
	return err
}
