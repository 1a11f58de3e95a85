package project

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

func WaitCommand() *command.Command {
	return &command.Command{
		Name: "wait", Usage: "wait until the containers of services end, and exit with the first code that is not 0",
		Args:  command.Args{command.Many(command.Service)},
		Flags: []*command.Flag{command.Toggle("down-project", "take the project down when the first container ends")},
		Run: func(s *command.Session, c *cli.Context) error {
			return wait(c.Context, s, c.Args().Slice(), c.Bool("down-project"))
		},
	}
}

func wait(ctx context.Context, s *command.Session, services []string, down bool) error {
	t, err := s.Target(ctx, services)
	if err != nil {
		return err
	}
	var d project.Desired
	if down { // as the file is now, not as it may be when the wait is over
		if d, _, err = s.Existing(ctx, services, podccompose.Planned); err != nil {
			return err
		}
	}
	pods, err := s.Chosen(t, true, func(p api.Pod) bool { return !p.Started.IsZero() })
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return fault.New(errdefs.ErrNotFound, "no container of these services was ever started")
	}
	code, err := awaitEnds(ctx, s, pods, down)
	if err == nil && down {
		err = takeDown(ctx, s, d)
	}
	if err == nil && code != 0 {
		err = fault.Silent(code)
	}
	return err
}

// awaitEnds tells of each container as it ends, and returns the first code that is not 0; with first it returns at the first
// end.
func awaitEnds(ctx context.Context, s *command.Session, pods []api.Pod, first bool) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type end struct {
		pod api.Pod
		err error
	}
	ends := make(chan end, len(pods))
	for _, p := range pods {
		go func() {
			now, err := s.Podc.Containers.Wait(ctx, p.Spec.Name, api.Stopped)
			ends <- end{now, err}
		}()
	}
	code := 0
	for range pods {
		e := <-ends
		switch {
		case errdefs.IsNotFound(e.err): // removed while it ran: nobody knows how it ended
			continue
		case e.err != nil:
			return 0, e.err
		}
		fmt.Fprintf(s.Con.Out, "container %q exited with status code %d\n", e.pod.ID, e.pod.ExitCode)
		if code == 0 {
			code = e.pod.ExitCode
		}
		if first {
			break
		}
	}
	return code, nil
}

// takeDown removes the containers and networks of a project.
func takeDown(ctx context.Context, s *command.Session, d project.Desired) error {
	o := s.Operate("down")
	defer o.Close()
	return s.Podc.Projects.Down(ctx, d, project.DownOptions{}, o.Watch())
}
