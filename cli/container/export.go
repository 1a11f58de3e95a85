package container

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
)

func ExportCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write the root filesystem of a service's container as a tar archive", ArgsUsage: "SERVICE",
		Flags: []cli.Flag{
			command.Number("index", 0, "`NUMBER` of the replica (default: the lowest)"),
			command.Text("output", "write to `FILE`, not to standard output", "o"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if c.NArg() != 1 {
				return fault.Invalid("export needs one service: %s", c.Command.ArgsUsage)
			}
			pods, err := copyPods(c.Context, s, c.Args().First(), c.Int("index"), false)
			if err != nil {
				return err
			}
			return exportTo(c.Context, s, pods[0], c.String("output"))
		}),
	}
}

// exportTo writes the root filesystem of a container to a file, or, if that is empty, to standard output.
func exportTo(ctx context.Context, s *command.Session, p api.Pod, output string) error {
	if output == "" && s.Con.OutTTY {
		return fault.Invalid("an archive is not for a terminal: redirect the output, or give a file with -o")
	}
	if s.DryRun {
		return nil
	}
	if output == "" {
		return s.Podc.Files.Export(ctx, p.Spec.Name, s.Con.Out)
	}
	// Beside the file, so that what is there stays until the archive is complete.
	f, err := os.CreateTemp(filepath.Dir(output), "."+filepath.Base(output)+"-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", output, err)
	}
	defer os.Remove(f.Name())
	err = s.Podc.Files.Export(ctx, p.Spec.Name, f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), output)
	}
	return err
}
