package container

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/archive"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
)

// copyOptions say how files are copied.
type copyOptions struct {
	keepOwner bool // by number; else they belong to whom the place belongs: root of the container, or who runs podc
	follow    bool // a link given as the source
}

// streamPath stands for a tar stream on podc's standard input or output.
const streamPath = "-"

func CpCommand() *command.Command {
	return cpCommand("copy files between a service's containers and the host", command.ServicePlace, []*command.Flag{
		command.Toggle("all", "to containers that run made too"),
		command.Number("index", 0, "NUMBER", "NUMBER of the replica (default: to all of them, from the lowest)"),
	}, func(s *command.Session, c *cli.Context, service string) ([]api.Pod, error) {
		return copyPods(c.Context, s, service, c.Int("index"), c.Bool("all"))
	})
}

func containerCopyCommand() *command.Command {
	return cpCommand("copy files between a container and the host", command.ContainerPlace, []*command.Flag{
		command.Toggle("quiet", "show no progress", "q"),
	}, func(s *command.Session, _ *cli.Context, name string) ([]api.Pod, error) {
		p, err := s.Container(name)
		return []api.Pod{p}, err
	})
}

func cpCommand(usage string, place command.Value, more []*command.Flag, pods func(*command.Session, *cli.Context, string) ([]api.Pod, error)) *command.Command {
	return &command.Command{
		Name: "cp", Usage: usage, Synopsis: place.Name + " PATH|- | PATH|- " + place.Name, Args: command.Args{command.One(place), command.One(place)},
		Flags: append([]*command.Flag{
			command.Toggle("archive", "keep who files belong to", "a"),
			command.Toggle("follow-link", "copy what a link given as the source leads to", "L"),
		}, more...),
		Run: func(s *command.Session, c *cli.Context) error {
			if c.Bool("quiet") {
				s.Progress = show.ProgressQuiet
			}
			opt := copyOptions{keepOwner: c.Bool("archive"), follow: c.Bool("follow-link")}
			return cp(c.Context, s, c.Args().Get(0), c.Args().Get(1), opt, func(name string) ([]api.Pod, error) { return pods(s, c, name) })
		},
	}
}

// cp copies from the first, or to all, of the containers that pods finds by the name before the colon.
func cp(ctx context.Context, s *command.Session, from, to string, opt copyOptions, pods func(name string) ([]api.Pod, error)) error {
	fromService, fromPath := splitPlace(from)
	toService, toPath := splitPlace(to)
	switch {
	case fromService != "" && toService != "":
		return fault.Invalid("files cannot be copied between containers: copy them to the host first")
	case fromService == "" && toService == "":
		return fault.Invalid("neither %q nor %q is in a container: write NAME:PATH", from, to)
	case fromPath == "" || toPath == "":
		return fault.Invalid("the path in the container is missing: write NAME:PATH")
	}
	found, err := pods(cmp.Or(fromService, toService))
	if err != nil {
		return err
	}
	o := s.Operate("copy")
	defer o.Close()
	if fromService != "" {
		return copying(o, found[0], from+" to "+to, func() error { return copyOut(ctx, s, found[0], fromPath, toPath, opt) })
	}
	if fromPath == streamPath && len(found) > 1 {
		return copyStream(ctx, s, found, toPath)
	}
	for _, p := range found {
		if err := copying(o, p, from+" to "+p.Spec.Name+":"+toPath, func() error { return copyIn(ctx, s, p, fromPath, toPath, opt) }); err != nil {
			return err
		}
	}
	return nil
}

// copyPods are the containers, by number, that files are copied from or to.
func copyPods(ctx context.Context, s *command.Session, service string, index int, oneOffs bool) ([]api.Pod, error) {
	t, err := s.Target(ctx, []string{service})
	if err != nil {
		return nil, err
	}
	pods, err := s.Chosen(t, oneOffs, func(p api.Pod) bool { return index == 0 || control.NumberOf(p) == index && !control.IsOneOff(p) })
	if err == nil && len(pods) == 0 {
		if err = command.NoReplica(service, max(index, 1)); index == 0 {
			err = fmt.Errorf("%w (create it with: podc create %s)", err, service)
		}
	}
	sortByNumber(pods)
	return pods, err
}

// copying shows one copy as it begins and ends.
func copying(o *command.Operation, p api.Pod, what string, do func() error) error {
	e := show.Event{DryRun: o.S.DryRun, Progress: api.Progress{ID: "Container " + p.Spec.Name, Text: "Copying", Details: what}}
	if o.S.DryRun {
		e.Status, e.Text = show.Done, "Copied"
		o.Show(e)
		return nil
	}
	return o.ShowAct(e, func() (string, error) { return "Copied", do() })
}

// copyOut copies from a container to the host, or, with "-", to podc's standard output as a tar stream.
func copyOut(ctx context.Context, s *command.Session, p api.Pod, from, to string, opt copyOptions) error {
	get := func(open func(src place) (io.Writer, string, error)) error {
		return s.Podc.Files.Get(ctx, p.Spec.Name, from, opt.follow, func(st control.FileStat) (io.Writer, string, error) {
			return open(placeInside(from, st))
		})
	}
	if to == streamPath {
		err := get(func(src place) (io.Writer, string, error) { return s.Con.Out, src.name(), nil })
		return copyError(p.Spec.Name+":"+from, to, err)
	}
	dst, err := placeOnHost(to, true)
	if err != nil {
		return copyError(p.Spec.Name+":"+from, to, err)
	}
	owner := &archive.Owner{UID: os.Getuid(), GID: os.Getgid()}
	if opt.keepOwner {
		owner = nil
	}
	folder := make(chan *os.File, 1) // where it goes, known once the source is
	err = archive.Pipe(func(w io.Writer) error {
		defer close(folder)
		return get(func(src place) (io.Writer, string, error) {
			into, as, err := placement(src, dst)
			if err != nil {
				return nil, "", err
			}
			dir, err := os.Open(into)
			if err == nil {
				folder <- dir
			}
			return w, as, err
		})
	}, func(r io.Reader) error {
		dir, ok := <-folder
		if !ok {
			return nil // why is the writer's to say
		}
		defer dir.Close()
		return archive.Below(dir).Unpack(ctx, r, ".", owner)
	})
	return copyError(p.Spec.Name+":"+from, to, err)
}

// copyIn copies from the host, or, with "-", a tar stream from podc's standard input, to a container.
func copyIn(ctx context.Context, s *command.Session, p api.Pod, from, to string, opt copyOptions) error {
	if from == streamPath {
		return unpack(ctx, s, p, s.Con.In, to)
	}
	src, err := placeOnHost(from, opt.follow)
	if err == nil && !src.exists {
		err = fmt.Errorf("%s does not exist", from)
	}
	if err != nil {
		return copyError(from, p.Spec.Name+":"+to, err)
	}
	dir, err := os.Open(filepath.Dir(src.real))
	if err != nil {
		return err
	}
	defer dir.Close()
	name := make(chan string, 1) // under which it goes, known once the destination is
	err = archive.Pipe(func(w io.Writer) error {
		as, ok := <-name
		if !ok {
			return nil // why is the reader's to say
		}
		return archive.Below(dir).Pack(ctx, w, filepath.Base(src.real), as)
	}, func(r io.Reader) error {
		defer close(name)
		return s.Podc.Files.Put(ctx, p.Spec.Name, to, !opt.keepOwner, func(st control.FileStat) (string, io.Reader, error) {
			into, as, err := placement(src, placeInside(to, st))
			if err == nil {
				name <- as
			}
			return into, r, err
		})
	})
	return copyError(from, p.Spec.Name+":"+to, err)
}

// unpack unpacks a tar stream, which says itself who files belong to, into a folder that is there.
func unpack(ctx context.Context, s *command.Session, p api.Pod, r io.Reader, to string) error {
	err := s.Podc.Files.Put(ctx, p.Spec.Name, to, false, func(st control.FileStat) (string, io.Reader, error) {
		if !st.IsDir {
			return "", nil, fmt.Errorf("%s is no folder, which a tar stream needs", to)
		}
		return st.Path, r, nil
	})
	return copyError(streamPath, p.Spec.Name+":"+to, err)
}

// copyStream unpacks one stream into several containers at once: it can be read only once.
func copyStream(ctx context.Context, s *command.Session, pods []api.Pod, to string) error {
	if s.DryRun {
		return nil
	}
	results := make(chan error, len(pods))
	var ends []io.Writer
	var closers []*io.PipeWriter
	for _, p := range pods {
		r, w := io.Pipe()
		ends, closers = append(ends, w), append(closers, w)
		go func() {
			err := unpack(ctx, s, p, r, to)
			if err == nil {
				io.Copy(io.Discard, r) // what follows the end of the archive is padding
			}
			r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
			results <- err
		}()
	}
	_, err := io.Copy(io.MultiWriter(ends...), s.Con.In)
	for _, w := range closers {
		w.CloseWithError(err)
	}
	var errs []error
	for range pods {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

func copyError(from, to string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot copy %s to %s: %w", from, to, err)
}
