package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/engine"
	"podc.example/podc/engine/archive"
)

// commitOptions are the flags of `commit`.
type commitOptions struct {
	name    string // of the image; empty: it has none
	author  string
	message string
	changes []string
	pause   bool
}

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
			e := event{s.dryRun, engine.ImageEvent{ID: "Container " + pods[0].Spec.Name, Status: working, Text: "Committing"}}
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
func commitOptionsOf(c *cli.Context) commitOptions {
	return commitOptions{c.Args().Get(1), c.String("author"), c.String("message"), c.StringSlice("change"), c.Bool("pause")}
}

// commit makes an image of a container and returns its id, "sha256:...".
func (s *session) commit(ctx context.Context, p engine.Pod, opt commitOptions) (id string, err error) {
	config := engine.CommitConfigOf(p, func(label string) bool {
		return strings.HasPrefix(label, "com.docker.compose.") || strings.HasPrefix(label, "io.podc.")
	})
	if err := config.Change(opt.changes); err != nil {
		return "", err
	}
	if s.dryRun {
		return "nothing", nil
	}
	req := engine.CommitRequest{
		Image: p.Spec.Container.ImageID, Name: opt.name, Author: opt.author, Message: opt.message,
		Command: strings.Join(p.Args, " "), Config: config,
	}
	if opt.pause && p.Status == engine.StatusRunning {
		resume, err := s.pauseFor(ctx, p.Spec.Name)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, resume()) }()
	}
	var reply engine.CommitReply
	// With the root in hand, one that does not run is neither started nor removed meanwhile.
	err = s.engine.WithRoot(ctx, p.Spec.Name, engine.RootOnly, func(*os.File) error {
		return s.sendLayer(ctx, p, req, &reply)
	})
	if err != nil {
		return "", fmt.Errorf("cannot commit %s: %w", p.Spec.Name, err)
	}
	id = "sha256:" + reply.Image.ID
	s.engine.NoteEvent(p, "commit", map[string]string{"comment": opt.message, "imageID": id, "imageRef": strings.Join(reply.Image.Names, ",")})
	return id, nil
}

// pauseFor pauses a container; resume undoes that, even if the caller is interrupted.
func (s *session) pauseFor(ctx context.Context, name string) (resume func() error, err error) {
	err = s.engine.PausePod(ctx, name)
	switch {
	case errdefs.IsConflict(err), errdefs.IsFailedPrecondition(err): // paused by somebody else, or ended
		return func() error { return nil }, nil
	case err != nil:
		return nil, err
	}
	return func() error {
		err := s.engine.UnpausePod(context.WithoutCancel(ctx), name)
		if errdefs.IsConflict(err) || errdefs.IsFailedPrecondition(err) || errdefs.IsNotFound(err) {
			return nil
		}
		return err
	}, nil
}

// sendLayer hands what the container wrote to podc-image.
func (s *session) sendLayer(ctx context.Context, p engine.Pod, req engine.CommitRequest, reply *engine.CommitReply) error {
	line, err := json.Marshal(req)
	if err != nil {
		return err
	}
	upper, err := os.Open(s.engine.Details(p).Upper)
	if err != nil {
		return err
	}
	defer upper.Close()
	warn := func(e event) {
		if isLog(e) {
			warn(s.con, strings.TrimSpace(e.Text))
		}
	}
	return pipe(
		func(w io.Writer) error { return archive.Below(upper).PackLayer(ctx, w, s.engine.MountPoints(p)) },
		func(r io.Reader) error {
			stdin := io.MultiReader(bytes.NewReader(append(line, '\n')), r)
			return askImages(ctx, s.con, s.globals, stdin, warn, reply, "commit")
		})
}
