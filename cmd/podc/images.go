package main

import (
	"podc.example/podc/api"
	"podc.example/podc/control"
)

// watchImages shows how images are transferred, until the display is closed.
func (s *session) watchImages(operation string, quiet bool) (w control.ImageWatch, shown func()) {
	g := s.style
	if quiet {
		g.progress = progressQuiet
	}
	p := newProgress(s.con, g, operation)
	return control.ImageWatch{
		Progress: func(e api.Progress) {
			if e.Status == failed {
				e.Details = "" // the error says it
			}
			p.show(event{Progress: e})
		},
		Warn: func(text string) { p.say("warning: " + text) },
	}, p.close
}
