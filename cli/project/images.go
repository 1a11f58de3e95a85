package project

import (
	"cmp"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/dockerapi"
)

func ImagesCommand() *command.Command {
	return &command.Command{
		Name: "images", Usage: "list the images of a project's containers", Args: command.AnyServices,
		Flags: []*command.Flag{
			command.Text("format", command.Format("table", "json"), ""),
			command.Toggle("quiet", "only ids", "q"),
		},
		Run: func(s *command.Session, c *cli.Context) error {
			t, err := s.Target(c.Context, c.Args().Slice())
			if err != nil {
				return err
			}
			pods, err := s.Chosen(t, true, nil)
			if err != nil {
				return err
			}
			if c.Bool("quiet") {
				printDistinctImages(s.Con, pods)
				return nil
			}
			return printImages(s.Con, command.Pretty(c.String("format")), pods, time.Now())
		},
	}
}

// usedImage is the image of a container as JSON has it.
type usedImage struct {
	ID            string
	ContainerName string
	Repository    string
	Tag           string
	Platform      string
	Size          int64 // bytes
	Created       time.Time
	LastTagTime   time.Time
}

// usedImageRow is the same for people.
type usedImageRow struct {
	ContainerName, Repository, Tag, Platform, ID, Size, Created string
}

var usedImageLayout = show.Layout{Columns: []show.Column{{"CONTAINER", "ContainerName"}, {"REPOSITORY", "Repository"}, {"TAG", "Tag"},
	{"PLATFORM", "Platform"}, {"IMAGE ID", "ID"}, {"SIZE", "Size"}, {"CREATED", "Created"}}}

func usedImageOf(p api.Pod) usedImage {
	img := p.Image
	name := p.Spec.Container.Image
	if len(img.Names) > 0 {
		name = img.Names[0]
	}
	repo, tag := dockerapi.SplitName(dockerapi.Familiar(name))
	return usedImage{
		ID: "sha256:" + cmp.Or(img.ID, p.Spec.Container.ImageID), ContainerName: p.Spec.Name, Repository: cmp.Or(repo, "<none>"),
		Tag: cmp.Or(tag, "<none>"), Platform: cmp.Or(img.Config.OS, "linux") + "/" + img.Config.Architecture, Size: img.Size,
		Created: img.Created,
	}
}

func printImages(con *show.Console, format string, pods []api.Pod, now time.Time) error {
	list := []usedImage{}
	var rows []usedImageRow
	for _, p := range pods {
		i := usedImageOf(p)
		list = append(list, i)
		rows = append(rows, usedImageRow{i.ContainerName, i.Repository, i.Tag, i.Platform, dockerapi.ShortID(i.ID), show.Size(i.Size),
			dockerapi.Since(i.Created, now)})
	}
	if format == "json" {
		return show.PrintList(con.Out, format, usedImageLayout, list, true)
	}
	return show.PrintList(con.Out, format, usedImageLayout, rows, true)
}

func printDistinctImages(con *show.Console, pods []api.Pod) {
	seen := map[string]bool{}
	for _, p := range pods {
		if id := cmp.Or(p.Image.ID, p.Spec.Container.ImageID); !seen[id] {
			fmt.Fprintln(con.Out, id)
			seen[id] = true
		}
	}
}
