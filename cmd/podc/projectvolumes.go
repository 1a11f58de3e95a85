package main

import (
	"maps"

	"github.com/urfave/cli/v2"

	"podc.example/podc/project"
	"podc.example/podc/volumes"
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
			all, err := s.engine.Volumes().List()
			if err != nil {
				return err
			}
			if len(services) > 0 {
				err = s.keepMounted(all, t)
			} else {
				maps.DeleteFunc(all, func(_ string, v volumes.Volume) bool { return v.Labels[project.LabelProject] != t.name })
			}
			if err != nil {
				return err
			}
			return s.printVolumes(c, sortedValues(all))
		}),
	}
}

// keepMounted leaves those volumes that the containers chosen have.
func (s *session) keepMounted(all map[string]volumes.Volume, t target) error {
	pods, err := s.chosen(t, true, nil)
	used := map[string]bool{}
	for _, p := range pods {
		for name := range maps.Values(p.Volumes) {
			used[name] = true
		}
	}
	maps.DeleteFunc(all, func(name string, _ volumes.Volume) bool { return !used[name] })
	return err
}
