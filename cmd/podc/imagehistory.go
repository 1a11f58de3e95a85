package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/dockerapi"
)

func imageHistoryCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "history", Usage: "show how an image was built, the last step first", ArgsUsage: "IMAGE",
		Flags: []cli.Flag{
			text("format", "table, json or a Go template (`FORMAT`)"),
			toggleOn("human", "sizes and times for people", "H"),
			toggle("no-trunc", "do not shorten"),
			toggle("quiet", "only ids", "q"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("history needs one argument: IMAGE")
			}
			images, err := s.podc.Images.Inspect(c.Context, c.Args().First())
			if err != nil {
				return err
			}
			rows := historyRows(images[0], c.Bool("human"), c.Bool("no-trunc"), time.Now())
			if c.Bool("quiet") {
				for _, r := range rows {
					fmt.Fprintln(con.out, r.ID)
				}
				return nil
			}
			return printList(con.out, c.String("format"), historyLayout(c.Bool("human")), rows, false)
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

func historyLayout(human bool) layout {
	created := column{"CREATED", "CreatedSince"}
	if !human {
		created = column{"CREATED AT", "CreatedAt"}
	}
	return layout{columns: []column{{"IMAGE", "ID"}, created, {"CREATED BY", "CreatedBy"}, {"SIZE", "Size"}, {"COMMENT", "Comment"}},
		headers: map[string]string{"CreatedAt": "CREATED AT", "CreatedSince": "CREATED"}}
}

func historyRows(img api.ImageDetails, human, full bool, now time.Time) []historyRow {
	var rows []historyRow
	for i, step := range dockerapi.HistoryOf(img) {
		created := img.History[len(img.History)-1-i].Created
		row := historyRow{Comment: step.Comment, CreatedAt: created.Local().Format(time.RFC3339), CreatedBy: strings.ReplaceAll(step.CreatedBy, "\t", " "),
			CreatedSince: dockerapi.Since(created, now), ID: step.ID, Size: size(step.Size)}
		if !human {
			row.Size = strconv.FormatInt(step.Size, 10)
		}
		if !full {
			row.CreatedBy = clip(row.CreatedBy, 45)
			if strings.HasPrefix(row.ID, "sha256:") {
				row.ID = dockerapi.ShortID(row.ID)
			}
		}
		rows = append(rows, row)
	}
	return rows
}
