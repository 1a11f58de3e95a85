package project

import (
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/volume"
	"podc.example/podc/dockerapi"
	"podc.example/podc/project"
)

func VolumesCommand() *command.Command {
	return &command.Command{
		Name: "volumes", Usage: "list the volumes of a project", Args: command.AnyServices,
		Flags: []*command.Flag{
			command.Text("format", command.Format("table", "json"), ""),
			command.Toggle("quiet", "only names", "q"),
		},
		Run: func(s *command.Session, c *cli.Context) error {
			t, err := s.Target(c.Context, c.Args().Slice())
			if err != nil {
				return err
			}
			all, err := s.Podc.Volumes.List(c.Context, nil)
			if err != nil {
				return err
			}
			mounted, err := mounted(s, t)
			if err != nil {
				return err
			}
			return volume.PrintVolumes(s, c, slices.DeleteFunc(all, func(v dockerapi.Volume) bool {
				if c.NArg() > 0 {
					return !mounted[v.Name]
				}
				return v.Labels[project.LabelProject] != t.Name
			}))
		},
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
