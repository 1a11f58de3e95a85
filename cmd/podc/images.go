package main

import (
	"context"

	"podc.example/podc/api"
	"podc.example/podc/internal/helper"
	"podc.example/podc/project"
)

// unchanged is an image store that a dry run has its way with: nothing there changes.
type unchanged struct{ project.Images }

func (unchanged) Unpin(context.Context, string) error  { return nil }
func (unchanged) Remove(context.Context, string) error { return nil }

// pinning is an image store that pins whatever is resolved for group: for a plan that is about to be carried out.
type pinning struct {
	project.Images
	group string
}

// Resolve is that of the store, for group.
func (p pinning) Resolve(ctx context.Context, _ string, refs []string) (map[string]api.Image, error) {
	return p.Images.Resolve(ctx, p.group, refs)
}

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
