package command

import (
	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
)

// WatchImages shows how images are transferred, until the display is closed.
func (s *Session) WatchImages(operation string, quiet bool) (w control.ImageWatch, shown func()) {
	g := s.Style
	if quiet {
		g.Progress = show.ProgressQuiet
	}
	p := show.NewProgress(s.Con, g, operation)
	return control.ImageWatch{
		Progress: func(e api.Progress) {
			if e.Status == show.Failed {
				e.Details = "" // the error says it
			}
			p.Show(show.Event{Progress: e})
		},
		Warn: func(text string) { p.Say("warning: " + text) },
	}, p.Close
}
