package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/archive"
	"podc.example/podc/control"
	"podc.example/podc/engine"
	"podc.example/podc/engine/commit"
	"podc.example/podc/internal/podcimage"
	"podc.example/podc/project"
)

// files implements control.Files.
type files struct {
	engine     *engine.Engine
	containers containers
	client     podcimage.Client
}

func (f files) Get(ctx context.Context, ref, path string, follow bool, open func(control.FileStat) (io.Writer, string, error)) error {
	return f.within(ctx, ref, engine.RootAll, "archive-path", func(root *os.File) error {
		tree := archive.Inside(root)
		st, err := stat(tree, path, follow)
		if err != nil {
			return err
		}
		w, as, err := open(st)
		if err != nil {
			return err
		}
		return tree.Pack(ctx, w, st.Path, as)
	})
}

func (f files) Put(ctx context.Context, ref, path string, asRoot bool, open func(control.FileStat) (string, io.Reader, error)) error {
	return f.within(ctx, ref, engine.RootAll, "extract-to-dir", func(root *os.File) error {
		tree := archive.Inside(root)
		st, err := stat(tree, path, true)
		if err != nil {
			return err
		}
		into, r, err := open(st)
		if err != nil {
			return err
		}
		var owner *archive.Owner
		if asRoot {
			owner = &archive.Owner{}
		}
		return tree.Unpack(ctx, r, into, owner)
	})
}

func (f files) Export(ctx context.Context, ref string, w io.Writer) error {
	p, err := f.containers.Get(ctx, ref)
	if err != nil {
		return err
	}
	err = f.within(ctx, p.Spec.Name, engine.RootOnly, "export", func(root *os.File) error {
		return archive.Inside(root).Pack(ctx, w, "/", "")
	})
	if err != nil {
		return fmt.Errorf("cannot export %s: %w", p.Spec.Name, err)
	}
	return nil
}

// within calls do with the root of a container, and notes the event if it succeeds.
func (f files) within(ctx context.Context, ref string, view engine.RootView, event string, do func(root *os.File) error) error {
	p, err := f.containers.Get(ctx, ref)
	if err != nil {
		return err
	}
	err = f.engine.WithRoot(ctx, p.Spec.Name, view, do)
	if err == nil {
		f.engine.NoteEvent(p, event, nil)
	}
	return err
}

// stat looks at a path in a container; paths there begin at its root.
func stat(t archive.Tree, given string, follow bool) (control.FileStat, error) {
	st := control.FileStat{Path: path.Clean("/" + given)}
	follow = follow || control.AsFolder(given)
	if follow {
		real, err := t.Resolve(st.Path)
		if err != nil {
			return st, err
		}
		st.Path = path.Clean("/" + real)
	}
	is, err := t.Stat(st.Path, follow)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return st, nil
	case err != nil:
		return st, err
	}
	st.Exists, st.IsDir = true, is.Mode.IsDir()
	return st, nil
}

func (f files) Commit(ctx context.Context, ref string, opt control.CommitOptions, warn func(string)) (id string, err error) {
	p, err := f.containers.Get(ctx, ref)
	if err != nil {
		return "", err
	}
	config := commit.Of(p, project.HiddenLabel)
	if err := config.Change(opt.Changes); err != nil || opt.DryRun {
		return "", err
	}
	if opt.Pause && p.Status == api.StatusRunning {
		resume, err := f.pause(ctx, p.Spec.Name)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, resume()) }()
	}
	req := podcimage.CommitRequest{
		Image: p.Spec.Container.ImageID, Name: opt.Name, Author: opt.Author, Message: opt.Message,
		Command: strings.Join(p.Args, " "), Config: config,
	}
	var reply podcimage.ImageReply
	// With the root in hand, one that does not run is neither started nor removed meanwhile.
	err = f.engine.WithRoot(ctx, p.Spec.Name, engine.RootOnly, func(*os.File) error {
		d := f.engine.Details(p)
		upper, err := os.Open(d.Upper)
		if err != nil {
			return err
		}
		defer upper.Close()
		return archive.Pipe(
			func(w io.Writer) error {
				return archive.Below(upper).PackLayer(ctx, w, f.engine.MountPoints(p), d.UserXattrs)
			},
			func(r io.Reader) error {
				reply, err = f.client.Commit(ctx, req, r, warn)
				return err
			})
	})
	if err != nil {
		return "", fmt.Errorf("cannot commit %s: %w", p.Spec.Name, err)
	}
	id = "sha256:" + reply.Image.ID
	f.engine.NoteEvent(p, "commit", map[string]string{"comment": opt.Message, "imageID": id, "imageRef": strings.Join(reply.Image.Names, ",")})
	return id, nil
}

// pause pauses a container; resume undoes that, even if the caller is interrupted.
func (f files) pause(ctx context.Context, name string) (resume func() error, err error) {
	err = f.engine.PausePod(ctx, name)
	switch {
	case errdefs.IsConflict(err), errdefs.IsFailedPrecondition(err): // paused by somebody else, or ended
		return func() error { return nil }, nil
	case err != nil:
		return nil, err
	}
	return func() error {
		err := f.engine.UnpausePod(context.WithoutCancel(ctx), name)
		if errdefs.IsConflict(err) || errdefs.IsFailedPrecondition(err) || errdefs.IsNotFound(err) {
			return nil
		}
		return err
	}, nil
}
