package image

import (
	"context"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/dockerapi"
)

func imageInspectCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: "show all about images", ArgsUsage: "IMAGE...",
		Flags: []cli.Flag{command.Text("format", "json or a Go template (`FORMAT`)", "f")},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if err := command.NeedArgs(c, 1); err != nil {
				return err
			}
			return command.InspectEach(con, c, imageLooker(s, c.Context, c.Args().Slice()))
		}),
	}
}

// imageLooker asks for all images at once. Where one of them is not there, it asks for each alone.
func imageLooker(s *command.Session, ctx context.Context, refs []string) func(ref string) (dockerapi.Image, error) {
	all, err := s.Podc.Images.Inspect(ctx, refs...)
	known := map[string]api.ImageDetails{}
	if err == nil {
		for i, ref := range refs {
			known[ref] = all[i]
		}
	}
	return func(ref string) (dockerapi.Image, error) {
		if img, ok := known[ref]; ok {
			return dockerapi.InspectImage(img), nil
		}
		if len(refs) == 1 {
			return dockerapi.Image{}, err
		}
		one, err := s.Podc.Images.Inspect(ctx, ref)
		if err != nil {
			return dockerapi.Image{}, err
		}
		return dockerapi.InspectImage(one[0]), nil
	}
}
