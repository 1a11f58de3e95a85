package project

import (
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/cli/volume"
	"podc.example/podc/dockerapi"
	"podc.example/podc/project"
)

func VolumesCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "volumes", Usage: "list the volumes of a project", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Text("format", "table, json or a Go template (`FORMAT`)"),
			command.Toggle("quiet", "only names", "q"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			services := c.Args().Slice()
			t, err := s.Target(c.Context, services)
			if err != nil {
				return err
			}
			all, err := s.Podc.Volumes.List(c.Context, nil)
			if err != nil {
				return err
			}
			wanted := func(v dockerapi.Volume) bool { return v.Labels[project.LabelProject] == t.Name }
			if len(services) > 0 {
				mounted, err := mounted(s, t)
				if err != nil {
					return err
				}
				wanted = func(v dockerapi.Volume) bool { return mounted[v.Name] }
			}
			return volume.PrintVolumes(s, c, slices.DeleteFunc(all, func(v dockerapi.Volume) bool { return !wanted(v) }))
		}),
	}
}

// mounted are the volumes that the containers chosen have.
func mounted(s *command.Session, t command.Target) (map[string]bool, error) {
	pods, err := s.Chosen(t, true, nil)
	mounted := map[string]bool{}
	for _, p := range pods {
		for name := range maps.Values(p.Volumes) {
			mounted[name] = true
		}
	}
	return mounted, err
}
