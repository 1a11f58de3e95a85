package container

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
)

func CommitCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "commit", Usage: "make an image of a service's container", ArgsUsage: "SERVICE [REPOSITORY[:TAG]]",
		Flags: append(commitFlags(), command.Number("index", 0, "`NUMBER` of the replica (default: the lowest)")),
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if c.NArg() < 1 || c.NArg() > 2 {
				return fault.Invalid("commit needs a service and takes a name: %s", c.Command.ArgsUsage)
			}
			pods, err := copyPods(c.Context, s, c.Args().First(), c.Int("index"), false)
			if err != nil {
				return err
			}
			opt := commitOptionsOf(c)
			o := s.Operate("commit")
			defer o.Close()
			e := show.Event{DryRun: s.DryRun, Progress: api.Progress{ID: "Container " + pods[0].Spec.Name, Status: show.Working, Text: "Committing"}}
			o.Show(e)
			id, err := commit(c.Context, s, pods[0], opt)
			if err != nil {
				e.Status, e.Text, e.Details = show.Failed, "Error", show.OneLine(err.Error())
				o.Show(e)
				return err
			}
			e.Status, e.Text = show.Done, "Committed as "+id
			o.Show(e)
			return nil
		}),
	}
}

// commitFlags are those of every commit.
func commitFlags() []cli.Flag {
	return []cli.Flag{
		command.Text("author", "`AUTHOR` of the image", "a"),
		command.List("change", "Dockerfile `INSTRUCTION` to apply: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, ...; repeatable", "c"),
		command.Text("message", "commit `MESSAGE`", "m"),
		command.ToggleOn("pause", "pause the container meanwhile", "p"),
	}
}

// commitOptionsOf reads them; the second argument names the image.
func commitOptionsOf(c *cli.Context) control.CommitOptions {
	return control.CommitOptions{Name: c.Args().Get(1), Author: c.String("author"), Message: c.String("message"), Changes: c.StringSlice("change"), Pause: c.Bool("pause")}
}

// commit makes an image of a container and returns its id, "sha256:...".
func commit(ctx context.Context, s *command.Session, p api.Pod, opt control.CommitOptions) (id string, err error) {
	opt.DryRun = s.DryRun
	id, err = s.Podc.Files.Commit(ctx, p.Spec.Name, opt, func(text string) { show.Warn(s.Con, strings.TrimSpace(text)) })
	if s.DryRun && err == nil {
		id = "nothing"
	}
	return id, err
}
