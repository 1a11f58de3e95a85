package image

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/dockerapi"
)

func imageInspectCommand() *command.Command {
	return &command.Command{
		Name: "inspect", Usage: "show all about images", Args: command.Args{command.Many(command.Image)}, Flags: command.InspectFlags(),
		Run: func(s *command.Session, c *cli.Context) error {
			return command.InspectEach(s, c, imageLooker(c.Context, s, c.Args().Slice()))
		},
	}
}

// imageLooker asks for all images at once. Where one of them is not there, it asks for each alone.
func imageLooker(ctx context.Context, s *command.Session, refs []string) func(ctx context.Context, ref string) (dockerapi.Image, error) {
	all, err := s.Podc.Images.Inspect(ctx, refs...)
	known := map[string]api.ImageDetails{}
	if err == nil {
		for i, ref := range refs {
			known[ref] = all[i]
		}
	}
	return func(ctx context.Context, ref string) (dockerapi.Image, error) {
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

func imageHistoryCommand() *command.Command {
	return &command.Command{
		Name: "history", Usage: "show how an image was built, the last step first", Args: command.Args{command.One(command.Image)},
		Flags: []*command.Flag{
			command.Text("format", command.Format("table", "json"), ""),
			command.ToggleOn("human", "sizes and times for people", "H"),
			command.Toggle("no-trunc", "do not shorten"),
			command.Toggle("quiet", "only ids", "q"),
		},
		Run: func(s *command.Session, c *cli.Context) error {
			images, err := s.Podc.Images.Inspect(c.Context, c.Args().First())
			if err != nil {
				return err
			}
			rows := historyRows(images[0], c.Bool("human"), c.Bool("no-trunc"), time.Now())
			return command.ShowList(s, c, historyLayout(c.Bool("human")), rows, false, func(r historyRow) string { return r.ID })
		},
	}
}

// historyRow is one step of an image's build, with docker's keys.
type historyRow struct {
	Comment      string
	CreatedAt    string
	CreatedBy    string
	CreatedSince string
	ID           string
	Size         string
}

func historyLayout(human bool) show.Layout {
	created := show.Column{"CREATED", "CreatedSince"}
	if !human {
		created = show.Column{"CREATED AT", "CreatedAt"}
	}
	return show.Layout{Columns: []show.Column{{"IMAGE", "ID"}, created, {"CREATED BY", "CreatedBy"}, {"SIZE", "Size"}, {"COMMENT", "Comment"}},
		Headers: map[string]string{"CreatedAt": "CREATED AT", "CreatedSince": "CREATED"}}
}

func historyRows(img api.ImageDetails, human, full bool, now time.Time) []historyRow {
	var rows []historyRow
	for i, step := range dockerapi.HistoryOf(img) {
		created := img.History[len(img.History)-1-i].Created
		row := historyRow{Comment: step.Comment, CreatedAt: created.Local().Format(time.RFC3339), CreatedBy: strings.ReplaceAll(step.CreatedBy, "\t", " "),
			CreatedSince: dockerapi.Since(created, now), ID: step.ID, Size: show.Size(step.Size)}
		if !human {
			row.Size = strconv.FormatInt(step.Size, 10)
		}
		if !full {
			row.CreatedBy = show.Clip(row.CreatedBy, 45)
			if strings.HasPrefix(row.ID, "sha256:") {
				row.ID = dockerapi.ShortID(row.ID)
			}
		}
		rows = append(rows, row)
	}
	return rows
}
