package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"podc.example/podc/engine"
	"podc.example/podc/project"
)

// imageHelper is the image store as package project sees it: podc-image does the work, and memos spare asking it again.
type imageHelper struct {
	s *session
	// warn hears what the libraries below podc-image complain about.
	warn func(string)
}

// imageQuestion is what a memo of resolved images answers.
type imageQuestion struct {
	Root, RunRoot, Group string
	Refs                 []string
}

// imageAnswer is a resolution that stands while its stamps are fresh.
type imageAnswer struct {
	Images map[string]engine.Image
	Stamps []engine.FileStamp
}

// Resolve says what references mean here, and pins the images for group unless that is empty.
func (h imageHelper) Resolve(ctx context.Context, group string, refs []string) (map[string]engine.Image, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	key, saved, err := h.s.secretKey()
	if err != nil {
		return nil, err
	}
	m := newMemos(h.s.runRoot, h.s.beside("podc-image"), h.s.con.env, key)
	q := imageQuestion{h.s.root, h.s.runRoot, group, refs}
	if saved {
		if got, ok := recall[imageAnswer](m, q); ok && fresh(got.Stamps) {
			return got.Images, nil
		}
	}
	asked := time.Now()
	var reply engine.ResolveReply
	if err := h.ask(ctx, nil, &reply, append(resolveVerb(group), refs...)...); err != nil {
		return nil, err
	}
	if saved && len(reply.Missing) == 0 && len(reply.Inputs) > 0 {
		keep(m, q, imageAnswer{reply.Images, reply.Inputs}, nil, asked)
	}
	return reply.Images, nil
}

// pinning is an image store that pins whatever is resolved for group: for a plan that is about to be carried out.
type pinning struct {
	project.Images
	group string
}

// Resolve is that of the store, for group.
func (p pinning) Resolve(ctx context.Context, _ string, refs []string) (map[string]engine.Image, error) {
	return p.Images.Resolve(ctx, p.group, refs)
}

func fresh(stamps []engine.FileStamp) bool {
	return !slices.ContainsFunc(stamps, func(s engine.FileStamp) bool { return !s.Fresh() })
}

func resolveVerb(group string) []string {
	if group == "" {
		return []string{"resolve", "--"}
	}
	return []string{"resolve", "--group", group, "--pin", "--"}
}

// Commit makes an image of a config and a layer.
func (h imageHelper) Commit(ctx context.Context, req engine.CommitRequest, layer io.Reader, warn func(string)) (reply engine.CommitReply, err error) {
	line, err := json.Marshal(req)
	if err != nil {
		return reply, err
	}
	show := func(e event) {
		if isLog(e) {
			warn(e.Text)
		}
	}
	err = askImages(ctx, h.s.con, h.s.globals, io.MultiReader(bytes.NewReader(append(line, '\n')), layer), show, &reply, "commit")
	return reply, err
}

// Pull fetches an image.
func (h imageHelper) Pull(ctx context.Context, ref string, report func(engine.ImageEvent)) error {
	var reply engine.PullReply
	return h.ask(ctx, report, &reply, "pull", "--", ref)
}

// Unpin lets go of every image pinned for group.
func (h imageHelper) Unpin(ctx context.Context, group string) error {
	if h.s.dryRun {
		return nil
	}
	var reply engine.UnpinReply
	return h.ask(ctx, nil, &reply, "unpin", "--group", group)
}

// Remove takes the name ref away, and the image with its last name.
func (h imageHelper) Remove(ctx context.Context, ref string) error {
	if h.s.dryRun {
		return nil
	}
	var reply engine.RemoveReply
	return h.ask(ctx, nil, &reply, "rm", "--", ref)
}

func (h imageHelper) ask(ctx context.Context, report func(engine.ImageEvent), reply any, verb ...string) error {
	show := func(e event) {
		switch {
		case isLog(e):
			h.warn(e.Text)
		case report != nil:
			report(e.ImageEvent)
		}
	}
	return askImages(ctx, h.s.con, h.s.globals, nil, show, reply, verb...)
}

// isLog tells a complaint of a library from progress.
func isLog(e event) bool { return e.ID == "log" && e.ParentID == "" }

// images runs a verb of podc-image with its progress on display.
func (s *session) images(ctx context.Context, operation string, quiet bool, stdin io.Reader, reply any, verb ...string) error {
	g := s.globals
	if quiet {
		g.progress = progressQuiet
	}
	p := newProgress(s.con, g, operation)
	defer p.close()
	return askImages(ctx, s.con, g, stdin, func(e event) {
		if isLog(e) {
			p.say("warning: " + strings.TrimSpace(e.Text))
			return
		}
		if e.Status == failed {
			e.Details = "" // the error says it
		}
		p.show(e)
	}, reply, verb...)
}
