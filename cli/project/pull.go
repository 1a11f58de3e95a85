package project

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

func PullCommand() *command.Command {
	return &command.Command{
		Name: "pull", Usage: "pull the images of services", Args: command.AnyServices,
		Flags: []*command.Flag{
			command.Toggle("ignore-buildable", "leave alone what a build makes"),
			command.Toggle("ignore-pull-failures", "pull what can be pulled, and warn of the rest"),
			command.Toggle("include-deps", "pull the images of dependencies too"),
			command.Text("policy", command.OneOf("POLICY", "missing", "always"), "pull what is missing only, or all"),
			command.Toggle("quiet", "show no progress", "q"),
			command.Hidden(command.ToggleOn("parallel", "")),
			command.Hidden(command.Toggle("no-parallel", "")),
		},
		Run: pull,
	}
}

func pull(s *command.Session, c *cli.Context) error {
	opt := project.PullOptions{Services: c.Args().Slice(), WithDeps: c.Bool("include-deps"), IgnoreBuildable: c.Bool("ignore-buildable"),
		IgnoreFailures: c.Bool("ignore-pull-failures")}
	switch policy := c.String("policy"); policy {
	case "", "always":
	case "missing":
		opt.Policy = project.PullMissing
	default:
		return fault.Invalid("unknown --policy %q: want missing or always", policy)
	}
	w, err := s.Load(c.Context, command.Selection{Services: opt.Services}, podccompose.Planned)
	if err != nil {
		return err
	}
	o := s.Operate("pull")
	defer o.Close()
	o.QuietPull = c.Bool("quiet")
	return s.Podc.Projects.Pull(c.Context, *w.Desired, opt, o.Watch())
}

func PushCommand() *command.Command {
	return &command.Command{
		Name: "push", Usage: "send the images that services build to their registries", Args: command.AnyServices,
		Flags: []*command.Flag{
			command.Toggle("ignore-push-failures", "push what can be pushed, and warn of the rest"),
			command.Toggle("include-deps", "push the images of dependencies too"),
			command.Toggle("quiet", "show no progress", "q"),
		},
		Run: push,
	}
}

func push(s *command.Session, c *cli.Context) error {
	opt := project.PushOptions{Services: c.Args().Slice(), WithDeps: c.Bool("include-deps"), IgnoreFailures: c.Bool("ignore-push-failures")}
	w, err := s.Load(c.Context, command.Selection{Services: opt.Services}, podccompose.Planned)
	if err != nil {
		return err
	}
	o := s.Operate("push")
	defer o.Close()
	o.QuietPull = c.Bool("quiet")
	return s.Podc.Projects.Push(c.Context, *w.Desired, opt, o.Watch())
}
