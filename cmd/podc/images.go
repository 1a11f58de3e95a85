package main

import (
	"context"

	"podc.example/podc/api"
	"podc.example/podc/internal/helper"
)

// askImages puts a question to podc-image with its progress on display.
func (s *session) askImages(ctx context.Context, operation string, quiet bool, q helper.Question, reply any) error {
	g := s.globals
	if quiet {
		g.progress = progressQuiet
	}
	p := newProgress(s.con, g, operation)
	defer p.close()
	q.Tell = func(e api.Progress) {
		if e.Status == failed {
			e.Details = "" // the error says it
		}
		p.show(event{Progress: e})
	}
	client := s.images()
	client.Warn = func(text string) { p.say("warning: " + text) }
	return client.Ask(ctx, q, reply)
}
