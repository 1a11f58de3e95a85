package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"podc.example/podc/engine"
	"podc.example/podc/engine/archive"
)

// copyOptions say how files are copied.
type copyOptions struct {
	keepOwner bool // by number; else they belong to whom the place belongs: root of the container, or who runs podc
	follow    bool // a link given as the source
}

// streamPath stands for a tar stream on podc's standard input or output.
const streamPath = "-"

func cpCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "cp", Usage: "copy files between a service's containers and the host", ArgsUsage: "SERVICE:PATH PATH|- | PATH|- SERVICE:PATH",
		Flags: []cli.Flag{
			toggle("all", "to containers that run made too"),
			toggle("archive", "keep who files belong to", "a"),
			toggle("follow-link", "copy what a link given as the source leads to", "L"),
			number("index", 0, "`NUMBER` of the replica (default: to all of them, from the lowest)"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			if c.NArg() != 2 {
				return usage("cp needs a source and a destination: %s", c.Command.ArgsUsage)
			}
			opt := copyOptions{keepOwner: c.Bool("archive"), follow: c.Bool("follow-link")}
			return s.cp(c.Context, c.Args().Get(0), c.Args().Get(1), opt, func(service string) ([]engine.Pod, error) {
				return s.copyPods(c.Context, service, c.Int("index"), c.Bool("all"))
			})
		}),
	}
}

// cp copies from the first, or to all, of the containers that pods finds by the name before the colon.
func (s *session) cp(ctx context.Context, from, to string, opt copyOptions, pods func(name string) ([]engine.Pod, error)) error {
	fromService, fromPath := splitPlace(from)
	toService, toPath := splitPlace(to)
	switch {
	case fromService != "" && toService != "":
		return usage("files cannot be copied between containers: copy them to the host first")
	case fromService == "" && toService == "":
		return usage("neither %q nor %q is in a container: write NAME:PATH", from, to)
	case fromPath == "" || toPath == "":
		return usage("the path in the container is missing: write NAME:PATH")
	}
	found, err := pods(cmp.Or(fromService, toService))
	if err != nil {
		return err
	}
	o := s.operate("copy")
	defer o.close()
	if fromService != "" {
		return o.copying(found[0], from+" to "+to, func() error { return s.copyOut(ctx, found[0], fromPath, toPath, opt) })
	}
	if fromPath == streamPath && len(found) > 1 {
		return s.copyStream(ctx, found, toPath)
	}
	for _, p := range found {
		if err := o.copying(p, from+" to "+p.Spec.Name+":"+toPath, func() error { return s.copyIn(ctx, p, fromPath, toPath, opt) }); err != nil {
			return err
		}
	}
	return nil
}

// copyPods are the containers, by number, that files are copied from or to.
func (s *session) copyPods(ctx context.Context, service string, index int, oneOffs bool) ([]engine.Pod, error) {
	t, err := s.target(ctx, []string{service})
	if err != nil {
		return nil, err
	}
	pods, err := s.chosen(t, oneOffs, func(p engine.Pod) bool { return index == 0 || numberOf(p) == index && !isOneOff(p) })
	if err == nil && len(pods) == 0 {
		if err = noReplica(service, max(index, 1)); index == 0 {
			err = fmt.Errorf("%w (create it with: podc create %s)", err, service)
		}
	}
	sortByNumber(pods)
	return pods, err
}

// copying shows one copy as it begins and ends.
func (o *operation) copying(p engine.Pod, what string, do func() error) error {
	e := event{o.s.dryRun, engine.ImageEvent{ID: "Container " + p.Spec.Name, Status: working, Text: "Copying", Details: what}}
	if o.s.dryRun {
		e.Status, e.Text = done, "Copied"
		o.show(e)
		return nil
	}
	o.show(e)
	if err := do(); err != nil {
		e.Status, e.Text, e.Details = failed, "Error", oneLine(err.Error())
		o.show(e)
		return err
	}
	e.Status, e.Text = done, "Copied"
	o.show(e)
	return nil
}

// copyOut copies from a container to the host, or, with "-", to podc's standard output as a tar stream.
func (s *session) copyOut(ctx context.Context, p engine.Pod, from, to string, opt copyOptions) error {
	err := s.engine.WithRoot(ctx, p.Spec.Name, engine.RootAll, func(root *os.File) error {
		source := archive.Inside(root)
		src, err := placeInside(source, from, opt.follow)
		if err != nil {
			return err
		}
		if to == streamPath {
			return source.Pack(ctx, s.con.out, src.real, src.name())
		}
		dst, err := placeOnHost(to, true)
		if err != nil {
			return err
		}
		into, as, err := placement(src, dst)
		if err != nil {
			return err
		}
		dir, err := os.Open(into)
		if err != nil {
			return err
		}
		defer dir.Close()
		owner := &archive.Owner{UID: os.Getuid(), GID: os.Getgid()}
		if opt.keepOwner {
			owner = nil
		}
		return pipe(func(w io.Writer) error { return source.Pack(ctx, w, src.real, as) },
			func(r io.Reader) error { return archive.Below(dir).Unpack(ctx, r, ".", owner) })
	})
	if err == nil {
		s.engine.NoteEvent(p, "archive-path", nil)
	}
	return copyError(p.Spec.Name+":"+from, to, err)
}

// copyIn copies from the host, or, with "-", a tar stream from podc's standard input, to a container.
func (s *session) copyIn(ctx context.Context, p engine.Pod, from, to string, opt copyOptions) error {
	var pack func(w io.Writer, as string) error
	src := place{path: from}
	if from != streamPath {
		var err error
		if src, err = placeOnHost(from, opt.follow); err != nil {
			return copyError(from, p.Spec.Name+":"+to, err)
		}
		if !src.exists {
			return copyError(from, p.Spec.Name+":"+to, fmt.Errorf("%s does not exist", from))
		}
		dir, err := os.Open(filepath.Dir(src.real))
		if err != nil {
			return err
		}
		defer dir.Close()
		pack = func(w io.Writer, as string) error {
			return archive.Below(dir).Pack(ctx, w, filepath.Base(src.real), as)
		}
	}
	err := s.engine.WithRoot(ctx, p.Spec.Name, engine.RootAll, func(root *os.File) error {
		tree := archive.Inside(root)
		if from == streamPath {
			return unpackStream(ctx, s.con.in, tree, to)
		}
		dst, err := placeInside(tree, to, true)
		if err != nil {
			return err
		}
		into, as, err := placement(src, dst)
		if err != nil {
			return err
		}
		owner := &archive.Owner{}
		if opt.keepOwner {
			owner = nil
		}
		return pipe(func(w io.Writer) error { return pack(w, as) }, func(r io.Reader) error { return tree.Unpack(ctx, r, into, owner) })
	})
	if err == nil {
		s.engine.NoteEvent(p, "extract-to-dir", nil)
	}
	return copyError(from, p.Spec.Name+":"+to, err)
}

// unpackStream unpacks a tar stream, which says itself who files belong to, into a folder that is there.
func unpackStream(ctx context.Context, r io.Reader, tree archive.Tree, to string) error {
	dst, err := placeInside(tree, to, true)
	if err != nil {
		return err
	}
	if !dst.exists || !dst.isDir {
		return fmt.Errorf("%s is no folder, which a tar stream needs", to)
	}
	return tree.Unpack(ctx, r, dst.real, nil)
}

// copyStream unpacks one stream into several containers at once: it can be read only once.
func (s *session) copyStream(ctx context.Context, pods []engine.Pod, to string) error {
	if s.dryRun {
		return nil
	}
	results := make(chan error, len(pods))
	var ends []io.Writer
	var closers []*io.PipeWriter
	for _, p := range pods {
		r, w := io.Pipe()
		ends, closers = append(ends, w), append(closers, w)
		go func() {
			err := s.engine.WithRoot(ctx, p.Spec.Name, engine.RootAll, func(root *os.File) error {
				return unpackStream(ctx, r, archive.Inside(root), to)
			})
			if err == nil {
				io.Copy(io.Discard, r) // what follows the end of the archive is padding
			}
			r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
			results <- copyError(streamPath, p.Spec.Name+":"+to, err)
		}()
	}
	_, err := io.Copy(io.MultiWriter(ends...), s.con.in)
	for _, w := range closers {
		w.CloseWithError(err)
	}
	var errs []error
	for range pods {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

// pipeSize is what a pipe holds, in bytes: enough for both of its ends to be at work most of the time.
const pipeSize = 1 << 20

// pipe connects who writes a stream with who reads it, and returns what went wrong first.
func pipe(write func(io.Writer) error, read func(io.Reader) error) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, pipeSize) // as much as is allowed
	written := make(chan error, 1)
	go func() {
		err := write(w)
		written <- errors.Join(err, w.Close())
	}()
	err = read(r)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // what follows the end of the archive is padding
	}
	r.Close()
	if werr := <-written; werr != nil && !errors.Is(werr, unix.EPIPE) {
		return werr // without it the reader has seen a stream that breaks off
	}
	return err
}

func copyError(from, to string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot copy %s to %s: %w", from, to, err)
}
