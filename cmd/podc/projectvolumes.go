package main

import (
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"podc.example/podc/dockerapi"
	"podc.example/podc/project"
)

func volumesCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "volumes", Usage: "list the volumes of a project", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			text("format", "table, json or a Go template (`FORMAT`)"),
			toggle("quiet", "only names", "q"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			services := c.Args().Slice()
			t, err := s.target(c.Context, services)
			if err != nil {
				return err
			}
			all, err := s.podc.Volumes.List(c.Context, nil)
			if err != nil {
				return err
			}
			wanted := func(v dockerapi.Volume) bool { return v.Labels[project.LabelProject] == t.name }
			if len(services) > 0 {
				mounted, err := s.mounted(t)
				if err != nil {
					return err
				}
				wanted = func(v dockerapi.Volume) bool { return mounted[v.Name] }
			}
			return s.printVolumes(c, slices.DeleteFunc(all, func(v dockerapi.Volume) bool { return !wanted(v) }))
		}),
	}
}

// mounted are the volumes that the containers chosen have.
func (s *session) mounted(t target) (map[string]bool, error) {
	pods, err := s.chosen(t, true, nil)
	mounted := map[string]bool{}
	for _, p := range pods {
		for name := range maps.Values(p.Volumes) {
			mounted[name] = true
		}
	}
	return mounted, err
}
