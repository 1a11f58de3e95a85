package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"

	"podc.example/podc/engine"
	"podc.example/podc/engine/images"
	"podc.example/podc/internal/fault"
)

// verbs are the program's commands. Each parses its own arguments and returns its reply.
var verbs = map[string]func(context.Context, *tool, []string) (any, error){
	"load":    load,
	"pull":    pull,
	"ls":      list,
	"inspect": inspect,
	"rm":      remove,
	"tag":     tag,
	"commit":  commit,
	"resolve": resolve,
	"unpin":   unpin,
	"check":   check,
	"where":   where,
}

func newFlags(verb string) *flag.FlagSet {
	flags := flag.NewFlagSet("podc-image "+verb, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// arguments parses args and wants at least low and at most high words after the flags (high < 0: any number).
func arguments(flags *flag.FlagSet, args []string, low, high int) error {
	if err := parse(flags, args); err != nil {
		return err
	}
	if n := flags.NArg(); n < low || high >= 0 && n > high {
		return invalid("%s: %d arguments given", flags.Name(), n)
	}
	return nil
}

func load(ctx context.Context, t *tool, args []string) (any, error) {
	flags := newFlags("load")
	input := flags.String("i", "-", "")
	flags.StringVar(input, "input", "-", "")
	if err := arguments(flags, args, 0, 0); err != nil {
		return nil, err
	}
	r, name := t.stdin, "standard input"
	if *input != "-" {
		f, err := os.Open(*input)
		if err != nil {
			return nil, openError(*input, err)
		}
		defer f.Close()
		r, name = f, *input
	}
	return with(t, func(s *images.Store) (engine.LoadReply, error) {
		loaded, err := s.Load(ctx, r, name, t.events.say)
		return engine.LoadReply{Images: loaded}, err
	})
}

func openError(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fault.New(errdefs.ErrNotFound, "cannot load %s: no such file", path)
	}
	return fmt.Errorf("cannot load %s: %w", path, err)
}

func pull(ctx context.Context, t *tool, args []string) (any, error) {
	flags := newFlags("pull")
	policy := flags.String("policy", string(images.Always), "")
	if err := arguments(flags, args, 1, 1); err != nil {
		return nil, err
	}
	switch p := images.Policy(*policy); p {
	case images.Always, images.Missing, images.Never:
		return with(t, func(s *images.Store) (engine.PullReply, error) {
			sum, err := s.Pull(ctx, flags.Arg(0), p, t.events.say)
			return engine.PullReply{Image: sum}, err
		})
	}
	return nil, invalid("podc-image pull: unknown policy %q", *policy)
}

func list(_ context.Context, t *tool, args []string) (any, error) {
	if err := arguments(newFlags("ls"), args, 0, 0); err != nil {
		return nil, err
	}
	return withReserve(t, func(s *images.Store) (engine.ListReply, error) {
		all, err := s.List()
		return engine.ListReply{Images: all}, err
	})
}

func inspect(_ context.Context, t *tool, args []string) (any, error) {
	flags := newFlags("inspect")
	if err := arguments(flags, args, 1, -1); err != nil {
		return nil, err
	}
	return withReserve(t, func(s *images.Store) (engine.InspectReply, error) {
		all, err := s.Inspect(flags.Args())
		return engine.InspectReply{Images: all}, err
	})
}

// remove goes on after a reference that cannot be removed; the reply says what went, the error what did not.
func remove(_ context.Context, t *tool, args []string) (any, error) {
	flags := newFlags("rm")
	force := flags.Bool("force", false, "")
	flags.BoolVar(force, "f", false, "")
	if err := arguments(flags, args, 1, -1); err != nil {
		return nil, err
	}
	var all engine.RemoveReply
	done := map[string]bool{}
	return withReserve(t, func(s *images.Store) (engine.RemoveReply, error) {
		var errs []error
		for _, ref := range flags.Args() {
			if done[ref] {
				continue
			}
			one, err := s.Remove(ref, *force)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			done[ref] = true
			all.Untagged = append(all.Untagged, one.Untagged...)
			all.Deleted = append(all.Deleted, one.Deleted...)
			t.events.say(engine.ImageEvent{ID: ref, Status: "Done", Text: "Removed"})
		}
		return all, errors.Join(errs...)
	})
}

func tag(_ context.Context, t *tool, args []string) (any, error) {
	flags := newFlags("tag")
	if err := arguments(flags, args, 2, 2); err != nil {
		return nil, err
	}
	return with(t, func(s *images.Store) (engine.TagReply, error) {
		sum, err := s.Tag(flags.Arg(0), flags.Arg(1))
		return engine.TagReply{Image: sum}, err
	})
}

// commit reads a request, on one line, and the layer after it from standard input.
func commit(ctx context.Context, t *tool, args []string) (any, error) {
	if err := arguments(newFlags("commit"), args, 0, 0); err != nil {
		return nil, err
	}
	in := bufio.NewReader(t.stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil, invalid("podc-image commit: no request: %v", err)
	}
	var req engine.CommitRequest
	if err := json.Unmarshal(line, &req); err != nil {
		return nil, invalid("podc-image commit: %v", err)
	}
	return with(t, func(s *images.Store) (engine.CommitReply, error) {
		sum, err := s.Commit(ctx, req, in)
		return engine.CommitReply{Image: sum}, err
	})
}

func resolve(ctx context.Context, t *tool, args []string) (any, error) {
	flags := newFlags("resolve")
	group := flags.String("group", "", "")
	pin := flags.Bool("pin", false, "")
	if err := arguments(flags, args, 0, -1); err != nil {
		return nil, err
	}
	if *pin && *group == "" {
		return nil, invalid("podc-image resolve: --pin needs --group")
	}
	if !*pin {
		*group = ""
	}
	return with(t, func(s *images.Store) (*engine.ResolveReply, error) {
		return s.Resolve(ctx, flags.Args(), *group)
	})
}

func unpin(ctx context.Context, t *tool, args []string) (any, error) {
	flags := newFlags("unpin")
	group := flags.String("group", "", "")
	var keep words
	flags.Var(&keep, "keep", "")
	if err := arguments(flags, args, 0, 0); err != nil {
		return nil, err
	}
	if *group == "" {
		return nil, invalid("podc-image unpin: --group is needed")
	}
	return withReserve(t, func(s *images.Store) (engine.UnpinReply, error) {
		gone, err := s.Unpin(ctx, *group, keep)
		return engine.UnpinReply{Unpinned: gone}, err
	})
}

func check(_ context.Context, t *tool, args []string) (any, error) {
	flags := newFlags("check")
	deep := flags.Bool("deep", false, "")
	repair := flags.Bool("repair", false, "")
	if err := arguments(flags, args, 0, 0); err != nil {
		return nil, err
	}
	return withReserve(t, func(s *images.Store) (*engine.CheckReply, error) { return s.Check(*deep, *repair) })
}

func where(_ context.Context, t *tool, args []string) (any, error) {
	if err := arguments(newFlags("where"), args, 0, 0); err != nil {
		return nil, err
	}
	root, err := images.GraphRoot(t.config)
	return engine.WhereReply{GraphRoot: root}, err
}
