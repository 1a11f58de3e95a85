package main

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/dockerapi"
	"podc.example/podc/engine"
)

func imageCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "image", Usage: "manage images",
		Subcommands: []*cli.Command{
			imageListCommand(con), imageInspectCommand(con), imageRemoveCommand(con), imagePullCommand(con), imageTagCommand(con),
			imageLoadCommand(con),
		},
	}
}

func imageLoadCommand(con *console) *cli.Command {
	return loadCommand(con)
}

// with opens a session for a command's action.
func with(con *console, do func(s *session, c *cli.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		s, err := open(c, con)
		if err != nil {
			return err
		}
		return do(s, c)
	}
}

// needArgs refuses fewer than n arguments.
func needArgs(c *cli.Context, n int) error {
	if c.NArg() < n {
		err := usage("%s needs at least %d argument%s: %s", c.Command.Name, n, plural(n), c.Command.ArgsUsage)
		return withHint(err, "see podc %s --help", strings.TrimPrefix(c.Command.HelpName, "podc "))
	}
	return nil
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func imageListCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "ls", Aliases: []string{"list"}, Usage: "list images", ArgsUsage: "[NAME[:TAG]]",
		Flags: []cli.Flag{
			hidden(toggle("all", "", "a")),
			toggle("quiet", "only ids", "q"),
			toggle("no-trunc", "whole ids"),
			toggle("digests", "show digests"),
			text("format", "table, json or a Go template (`FORMAT`)"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			var reply engine.ListReply
			if err := s.images(c.Context, "image ls", true, nil, &reply, "ls"); err != nil {
				return err
			}
			rows := imageRows(reply.Images, c.Args().First(), c.Bool("no-trunc"), time.Now())
			if c.Bool("quiet") {
				return printDistinct(con, rows)
			}
			return printList(con.out, c.String("format"), imageLayout(c.Bool("digests")), rows, false)
		}),
	}
}

// imageRow is one name of an image, with docker's keys.
type imageRow struct {
	CreatedAt    string
	CreatedSince string
	Digest       string
	ID           string
	Repository   string
	Size         string
	Tag          string
	UsedBy       string
}

func imageLayout(digests bool) layout {
	l := layout{headers: map[string]string{"CreatedAt": "CREATED AT", "Digest": "DIGEST", "UsedBy": "USED BY"}}
	l.columns = []column{{"REPOSITORY", "Repository"}, {"TAG", "Tag"}}
	if digests {
		l.columns = append(l.columns, column{"DIGEST", "Digest"})
	}
	l.columns = append(l.columns, column{"IMAGE ID", "ID"}, column{"CREATED", "CreatedSince"}, column{"SIZE", "Size"})
	return l
}

// imageRows makes one row for each name that matches, and one for an image without any.
func imageRows(images []engine.ImageSummary, match string, full bool, now time.Time) []imageRow {
	var rows []imageRow
	for _, img := range images {
		names := img.Names
		if len(names) == 0 && match == "" {
			names = []string{""}
		}
		for _, name := range names {
			repo, tag := dockerapi.SplitName(dockerapi.Familiar(name))
			if !matches(match, repo, tag) {
				continue
			}
			row := imageRow{
				CreatedAt: img.Created.Local().Format(dockerTime), CreatedSince: dockerapi.Since(img.Created, now),
				Digest: firstOf(img.Digest, "<none>"), ID: dockerapi.ShortID(img.ID), Repository: firstOf(repo, "<none>"),
				Size: size(img.Size), Tag: firstOf(tag, "<none>"), UsedBy: strings.Join(img.UsedBy, ","),
			}
			if full {
				row.ID = "sha256:" + img.ID
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func matches(pattern, repo, tag string) bool {
	wantRepo, wantTag := dockerapi.SplitName(pattern)
	if pattern == "" {
		return true
	}
	ok, err := path.Match(wantRepo, repo)
	return (ok || err != nil && wantRepo == repo) && (wantTag == "" || wantTag == tag)
}

func printDistinct(con *console, rows []imageRow) error {
	seen := map[string]bool{}
	for _, r := range rows {
		if !seen[r.ID] {
			fmt.Fprintln(con.out, r.ID)
		}
		seen[r.ID] = true
	}
	return nil
}

func imageRemoveCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "rm", Aliases: []string{"remove"}, Usage: "remove images", ArgsUsage: "IMAGE...",
		Flags: []cli.Flag{toggle("force", "remove what other names still point to", "f"), hidden(toggle("no-prune", ""))},
		Action: with(con, func(s *session, c *cli.Context) error {
			if err := needArgs(c, 1); err != nil {
				return err
			}
			return s.removeImages(c.Context, c.Bool("force"), c.Args().Slice())
		}),
	}
}

func (s *session) removeImages(ctx context.Context, force bool, refs []string) error {
	args := []string{"rm"}
	if force {
		args = append(args, "--force")
	}
	var reply engine.RemoveReply
	if err := s.images(ctx, "image rm", true, nil, &reply, append(append(args, "--"), refs...)...); err != nil {
		return err
	}
	for _, name := range reply.Untagged {
		fmt.Fprintf(s.con.out, "Untagged: %s\n", printable(dockerapi.Familiar(name)))
	}
	for _, id := range reply.Deleted {
		fmt.Fprintf(s.con.out, "Deleted: sha256:%s\n", id)
	}
	return nil
}

func imagePullCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "pull", Usage: "fetch an image from a registry", ArgsUsage: "IMAGE",
		Flags: []cli.Flag{toggle("quiet", "show no progress", "q")},
		Action: with(con, func(s *session, c *cli.Context) error {
			if err := needArgs(c, 1); err != nil {
				return err
			}
			for _, ref := range c.Args().Slice() {
				var reply engine.PullReply
				if err := s.images(c.Context, "pull", c.Bool("quiet"), nil, &reply, "pull", "--", ref); err != nil {
					return err
				}
				fmt.Fprintln(con.out, reply.Image.ID)
			}
			return nil
		}),
	}
}

func imageTagCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "tag", Usage: "give an image one more name", ArgsUsage: "IMAGE NAME[:TAG]",
		Action: with(con, func(s *session, c *cli.Context) error {
			if c.NArg() != 2 {
				return usage("tag needs two arguments: %s", c.Command.ArgsUsage)
			}
			var reply engine.TagReply
			return s.images(c.Context, "tag", true, nil, &reply, "tag", "--", c.Args().Get(0), c.Args().Get(1))
		}),
	}
}
