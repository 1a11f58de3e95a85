package podcimage

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/helper"
)

// Deadline is what podc-image needs at most. An image may be large and its registry slow; it gives up on a silent registry by itself.
const Deadline = 2 * time.Hour

// Complaint is the ID of what is no progress, but what the libraries below podc-image complain about.
const Complaint = "log"

// Client asks podc-image about the images of one data root.
type Client struct {
	Helper        helper.Program
	Root, RunRoot string
	Memos         func() (helper.Memos, error) // of what references mean; asked for when they are needed
	Warn          func(text string)            // hears complaints; may be nil
}

// Ask puts a question, as helper.Program does. Complaints do not reach q.Tell.
func (c Client) Ask(ctx context.Context, q helper.Question, reply any) error {
	tell := q.Tell
	q.Tell = func(e api.Progress) {
		switch complaint := e.ID == Complaint && e.ParentID == ""; {
		case complaint && c.Warn != nil:
			c.Warn(strings.TrimSpace(e.Text))
		case !complaint && tell != nil:
			tell(e)
		}
	}
	p := c.Helper
	p.Args = []string{"--root", c.Root, "--runroot", c.RunRoot}
	return p.Ask(ctx, q, reply)
}

// meaning is what a memo says of references.
type meaning struct {
	Images map[string]api.Image
	Stamps []disk.Stamp // it stands while they are fresh
}

// Resolve says what references mean here, and pins the images for group unless that is empty. Those that mean nothing are left out.
func (c Client) Resolve(ctx context.Context, group string, refs []string) (map[string]api.Image, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	memos, err := c.Memos()
	if err != nil {
		return nil, err
	}
	question := struct {
		Root, RunRoot string
		ResolveRequest
	}{c.Root, c.RunRoot, ResolveRequest{refs, group}}
	stale := func(s disk.Stamp) bool { return !s.Fresh() }
	if got, ok := helper.Recall[meaning](memos, question); ok && !slices.ContainsFunc(got.Stamps, stale) {
		return got.Images, nil
	}
	asked := time.Now()
	var reply ResolveReply
	if err := c.Ask(ctx, helper.Question{Verb: Resolve, Request: question.ResolveRequest}, &reply); err != nil {
		return nil, err
	}
	if len(reply.Missing) == 0 && len(reply.Inputs) > 0 {
		helper.Keep(memos, question, meaning{reply.Images, reply.Inputs}, nil, asked)
	}
	return reply.Images, nil
}

// Pull fetches an image.
func (c Client) Pull(ctx context.Context, ref string, report func(api.Progress)) error {
	return c.Ask(ctx, helper.Question{Verb: Pull, Request: PullRequest{ref, "always"}, Tell: report}, &ImageReply{})
}

// Push sends an image to its registry and returns the digest of its manifest there.
func (c Client) Push(ctx context.Context, ref string, report func(api.Progress)) (string, error) {
	var reply PushReply
	err := c.Ask(ctx, helper.Question{Verb: Push, Request: PushRequest{ref}, Tell: report}, &reply)
	return reply.Digest, err
}

// Unpin lets go of every image pinned for group.
func (c Client) Unpin(ctx context.Context, group string) error {
	return c.Ask(ctx, helper.Question{Verb: Unpin, Request: UnpinRequest{Group: group}}, &UnpinReply{})
}

// Remove takes the name ref away, and the image with its last name.
func (c Client) Remove(ctx context.Context, ref string) error {
	return c.Ask(ctx, helper.Question{Verb: Remove, Request: RemoveRequest{Refs: []string{ref}}}, &RemoveReply{})
}

// Commit makes an image of a request and the layer that r streams. Complaints go to warn.
func (c Client) Commit(ctx context.Context, req CommitRequest, r io.Reader, warn func(string)) (reply ImageReply, err error) {
	c.Warn = warn
	err = c.Ask(ctx, helper.Question{Verb: Commit, Request: req, Stream: r}, &reply)
	return reply, err
}
