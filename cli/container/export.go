package container

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
)

func ExportCommand() *command.Command {
	return exportCommand("write the root filesystem of a service's container as a tar archive", byService, command.Index())
}

func containerExportCommand() *command.Command {
	return exportCommand("write the root filesystem of a container as a tar archive", byName)
}

func exportCommand(usage string, of finder, more ...*command.Flag) *command.Command {
	return &command.Command{
		Name: "export", Usage: usage, Args: command.Args{command.One(of.arg)},
		Flags: append(more, command.Text("output", command.File, "write to FILE, not to standard output", "o")),
		Run: func(s *command.Session, c *cli.Context) error {
			p, err := of.made(s, c)
			if err != nil {
				return err
			}
			return exportTo(c.Context, s, p, c.String("output"))
		},
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

func CommitCommand() *command.Command {
	return commitCommand("make an image of a service's container", byService, func(s *command.Session, c *cli.Context, p api.Pod) error {
		o := s.Operate("commit")
		defer o.Close()
		e := show.Event{DryRun: s.DryRun, Progress: api.Progress{ID: "Container " + p.Spec.Name, Text: "Committing"}}
		return o.ShowAct(e, func() (string, error) {
			id, err := commit(c, s, p)
			return "Committed as " + id, err
		})
	}, command.Index())
}

func containerCommitCommand() *command.Command {
	cmd := commitCommand("make an image of a container, and print its id", byName, func(s *command.Session, c *cli.Context, p api.Pod) error {
		id, err := commit(c, s, p)
		if err == nil {
			fmt.Fprintln(s.Con.Out, id)
		}
		return err
	})
	cmd.Needs = command.Effect
	return cmd
}

func commitCommand(usage string, of finder, do func(*command.Session, *cli.Context, api.Pod) error, more ...*command.Flag) *command.Command {
	const changes = "Dockerfile INSTRUCTION to apply: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, ...; repeatable"
	return &command.Command{
		Name: "commit", Usage: usage, Args: command.Args{command.One(of.arg), command.Maybe(command.Word("REPOSITORY[:TAG]"))},
		Flags: append([]*command.Flag{
			command.Text("author", command.Word("AUTHOR"), "AUTHOR of the image", "a"),
			command.List("change", command.Word("INSTRUCTION"), changes, "c"),
			command.Text("message", command.Word("MESSAGE"), "commit MESSAGE", "m"),
			command.ToggleOn("pause", "pause the container meanwhile", "p"),
		}, more...),
		Run: func(s *command.Session, c *cli.Context) error {
			p, err := of.made(s, c)
			if err != nil {
				return err
			}
			return do(s, c, p)
		},
	}
}

// commit makes an image of a container and returns its id, "sha256:...".
func commit(c *cli.Context, s *command.Session, p api.Pod) (id string, err error) {
	opt := control.CommitOptions{Name: c.Args().Get(1), Author: c.String("author"), Message: c.String("message"),
		Changes: c.StringSlice("change"), Pause: c.Bool("pause"), DryRun: s.DryRun}
	id, err = s.Podc.Files.Commit(c.Context, p.Spec.Name, opt, func(text string) { show.Warn(s.Con, strings.TrimSpace(text)) })
	if s.DryRun && err == nil {
		id = "nothing"
	}
	return id, err
}
