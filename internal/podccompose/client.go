package podccompose

import (
	"context"
	"errors"
	"time"

	"podc.example/podc/internal/helper"
	"podc.example/podc/project"
)

// Deadline is what podc-compose needs at most.
const Deadline = time.Minute

// Client asks podc-compose, or remembers what it answered.
type Client struct {
	Helper helper.Program
	Key    []byte       // of the data root: see LoadRequest
	Memos  helper.Memos // none: nothing is remembered
}

// Project is what a compose file describes.
type Project struct {
	*project.Desired
	Promoted map[string]string // as in LoadReply
	// Partial says that contents of configs or secrets are not filled in: good for planning, not for making.
	Partial bool
	// Of a project that could not be loaded: that podc-compose says so, the files that were read, and the name that they state.
	Refused    bool
	Inputs     []string
	StatedName string
}

// Detail is how much is to be known of a project.
type Detail int

const (
	Outline Detail = iota // its name and those of its services
	Planned               // all but the contents of configs and secrets, which memos lack
	Whole
)

// known is what is kept of a reply. Contents may be secret and are not.
type known struct {
	Desired  *project.Desired
	Promoted map[string]string `json:",omitempty"`
	Partial  bool              `json:",omitempty"`
}

// outlineOf asks for the outline of what a request asks for. Most commands need no more, and its memo is many times smaller.
type outlineOf struct{ Outline LoadRequest }

// outline is what is kept of an outline.
type outline struct {
	Name               string
	Services, Disabled []string
	Promoted           map[string]string `json:",omitempty"`
}

func outlined(reply LoadReply) outline {
	short := outline{Name: reply.Desired.Name, Disabled: reply.Desired.Disabled, Promoted: reply.Promoted}
	for _, s := range reply.Desired.Services {
		short.Services = append(short.Services, s.Name)
	}
	return short
}

func (o outline) desired() *project.Desired {
	d := &project.Desired{Name: o.Name, Disabled: o.Disabled}
	for _, name := range o.Services {
		d.Services = append(d.Services, project.Service{Name: name})
	}
	return d
}

// Load reads a compose project: from a memo if one holds, else by podc-compose.
func (c Client) Load(ctx context.Context, req LoadRequest, d Detail) (Project, error) {
	if d == Outline {
		if got, ok := helper.Recall[outline](c.Memos, outlineOf{req}); ok && got.Name != "" {
			return Project{Desired: got.desired(), Promoted: got.Promoted}, nil
		}
	} else if got, ok := helper.Recall[known](c.Memos, req); ok && got.Desired != nil && !(d == Whole && got.Partial) {
		return Project{Desired: got.Desired, Promoted: got.Promoted, Partial: got.Partial}, nil
	}
	asked := time.Now()
	reply, err := c.Ask(ctx, req)
	if err != nil {
		return Project{Refused: reply.Fault != nil, Inputs: reply.Inputs, StatedName: reply.StatedName}, err
	}
	if reply.Memo {
		helper.Keep(c.Memos, req, known{reply.Desired, reply.Promoted, len(reply.Contents) > 0}, reply.Inputs, asked)
		helper.Keep(c.Memos, outlineOf{req}, outlined(reply), reply.Inputs, asked)
	}
	return Project{Desired: reply.Desired, Promoted: reply.Promoted}, nil
}

// Ask asks podc-compose, with the contents of configs and secrets filled in. The fault of a reply is the error.
func (c Client) Ask(ctx context.Context, req LoadRequest) (reply LoadReply, err error) {
	q := helper.Question{Verb: Load}
	req.Key = c.Key
	req.Files, q.Files = helper.HandOver(req.Files, helper.FirstFile)
	defer helper.CloseAll(q.Files)
	q.Request = req
	switch err := c.Helper.Ask(ctx, q, &reply); {
	case err != nil:
		return LoadReply{}, err
	case reply.Fault != nil:
		return reply, reply.Fault
	case reply.Desired == nil:
		return reply, errors.New("podc-compose gave an empty answer")
	}
	reply.Desired.Fill(reply.Contents)
	return reply, nil
}
