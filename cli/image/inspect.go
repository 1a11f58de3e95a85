package image

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/fault"
)

func imageInspectCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: "show all about images", ArgsUsage: "IMAGE...",
		Flags: []cli.Flag{command.Text("format", "json or a Go template (`FORMAT`)", "f")},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if err := command.NeedArgs(c, 1); err != nil {
				return err
			}
			return command.InspectEach(con, c, imageLooker(c.Context, s, c.Args().Slice()))
		}),
	}
}

// imageLooker asks for all images at once. Where one of them is not there, it asks for each alone.
func imageLooker(ctx context.Context, s *command.Session, refs []string) func(ref string) (dockerapi.Image, error) {
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

func imageHistoryCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "history", Usage: "show how an image was built, the last step first", ArgsUsage: "IMAGE",
		Flags: []cli.Flag{
			command.Text("format", "table, json or a Go template (`FORMAT`)"),
			command.ToggleOn("human", "sizes and times for people", "H"),
			command.Toggle("no-trunc", "do not shorten"),
			command.Toggle("quiet", "only ids", "q"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if c.NArg() != 1 {
				return fault.Invalid("history needs one argument: IMAGE")
			}
			images, err := s.Podc.Images.Inspect(c.Context, c.Args().First())
			if err != nil {
				return err
			}
			rows := historyRows(images[0], c.Bool("human"), c.Bool("no-trunc"), time.Now())
			if c.Bool("quiet") {
				for _, r := range rows {
					fmt.Fprintln(con.Out, r.ID)
				}
				return nil
			}
			return show.PrintList(con.Out, c.String("format"), historyLayout(c.Bool("human")), rows, false)
		}),
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
