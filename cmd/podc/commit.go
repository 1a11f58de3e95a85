package main

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/control"
)

func commitCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "commit", Usage: "make an image of a service's container", ArgsUsage: "SERVICE [REPOSITORY[:TAG]]",
		Flags: append(commitFlags(), number("index", 0, "`NUMBER` of the replica (default: the lowest)")),
		Action: with(con, func(s *session, c *cli.Context) error {
			if c.NArg() < 1 || c.NArg() > 2 {
				return usage("commit needs a service and takes a name: %s", c.Command.ArgsUsage)
			}
			pods, err := s.copyPods(c.Context, c.Args().First(), c.Int("index"), false)
			if err != nil {
				return err
			}
			opt := commitOptionsOf(c)
			o := s.operate("commit")
			defer o.close()
			e := event{s.dryRun, api.Progress{ID: "Container " + pods[0].Spec.Name, Status: working, Text: "Committing"}}
			o.show(e)
			id, err := s.commit(c.Context, pods[0], opt)
			if err != nil {
				e.Status, e.Text, e.Details = failed, "Error", oneLine(err.Error())
				o.show(e)
				return err
			}
			e.Status, e.Text = done, "Committed as "+id
			o.show(e)
			return nil
		}),
	}
}

// commitFlags are those of every commit.
func commitFlags() []cli.Flag {
	return []cli.Flag{
		text("author", "`AUTHOR` of the image", "a"),
		list("change", "Dockerfile `INSTRUCTION` to apply: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, ...; repeatable", "c"),
		text("message", "commit `MESSAGE`", "m"),
		toggleOn("pause", "pause the container meanwhile", "p"),
	}
}

// commitOptionsOf reads them; the second argument names the image.
func commitOptionsOf(c *cli.Context) control.CommitOptions {
	return control.CommitOptions{Name: c.Args().Get(1), Author: c.String("author"), Message: c.String("message"), Changes: c.StringSlice("change"), Pause: c.Bool("pause")}
}

// commit makes an image of a container and returns its id, "sha256:...".
func (s *session) commit(ctx context.Context, p api.Pod, opt control.CommitOptions) (id string, err error) {
	opt.DryRun = s.dryRun
	id, err = s.podc.Files.Commit(ctx, p.Spec.Name, opt, func(text string) { warn(s.con, strings.TrimSpace(text)) })
	if s.dryRun && err == nil {
		id = "nothing"
	}
	return id, err
}
