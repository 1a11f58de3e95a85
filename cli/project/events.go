package project

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

func EventsCommand() *command.Command {
	return &command.Command{
		Name: "events", Usage: "show what befalls containers, as it happens", Args: command.AnyServices,
		Flags: []*command.Flag{
			command.Toggle("json", "one JSON object a line"),
			command.Text("since", command.Time, "begin with what happened after TIME: RFC 3339, seconds since 1970, or relative (42m)"),
			command.Text("until", command.Time, "end at TIME"),
		},
		Run: events,
	}
}

func events(s *command.Session, c *cli.Context) error {
	var read api.EventOptions
	var err error
	now := time.Now()
	if read.Since, err = control.ParseTime("since", c.String("since"), now); err != nil {
		return err
	}
	if read.Until, err = control.ParseTime("until", c.String("until"), now); err != nil {
		return err
	}
	t, err := s.Target(c.Context, c.Args().Slice())
	if err != nil {
		return err
	}
	read.Group, read.Follow = t.Name, read.Until.IsZero() || read.Until.After(now)
	if !read.Follow && read.Since.IsZero() {
		read.Since = time.Unix(0, 1) // all that led up to until
	}
	return s.Podc.Streams.Events(c.Context, read, func(ev api.Event) error {
		service := ev.Attributes[project.LabelService]
		if len(t.Services) > 0 && !slices.Contains(t.Services, service) || project.IsOneOff(ev.Attributes) {
			return nil
		}
		return printEvent(s.Con, ev, c.Bool("json"))
	})
}

// printEvent prints an event as docker compose does: labels that are not the user's own are left out.
func printEvent(con *show.Console, ev api.Event, asJSON bool) error {
	attributes := maps.Clone(ev.Attributes)
	maps.DeleteFunc(attributes, func(k, _ string) bool { return project.HiddenLabel(k) })
	if asJSON {
		enc := json.NewEncoder(con.Out)
		enc.SetEscapeHTML(false)
		return enc.Encode(struct {
			Time       time.Time         `json:"time"`
			Type       string            `json:"type"`
			Service    string            `json:"service"`
			ID         string            `json:"id"`
			Action     string            `json:"action"`
			Attributes map[string]string `json:"attributes"`
		}{ev.Time, ev.Type, ev.Attributes[project.LabelService], ev.ID, ev.Action, attributes})
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		list = append(list, k+"="+attributes[k])
	}
	_, err := fmt.Fprintf(con.Out, "%s %s %s %s (%s)\n", ev.Time.Local().Format("2006-01-02 15:04:05.000000"), ev.Type,
		show.Printable(ev.Action), ev.ID, show.OneLine(show.Printable(strings.Join(list, ", "))))
	return err
}
