package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/engine"
)

func imageInspectCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: "show all about images", ArgsUsage: "IMAGE...",
		Flags: []cli.Flag{text("format", "json or a Go template (`FORMAT`)", "f")},
		Action: with(con, func(s *session, c *cli.Context) error {
			if err := needArgs(c, 1); err != nil {
				return err
			}
			var reply engine.InspectReply
			args := append([]string{"inspect", "--"}, c.Args().Slice()...)
			if err := s.images(c.Context, "image inspect", true, nil, &reply, args...); err != nil {
				return err
			}
			var list []imageInspect
			for _, img := range reply.Images {
				list = append(list, inspectImage(img))
			}
			return printInspect(con, c.String("format"), list)
		}),
	}
}

// imageInspect has docker's shape.
type imageInspect struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Created      time.Time
	Author       string
	Architecture string
	Os           string
	Size         int64
	Config       imageConfig
	RootFS       imageRootFS
	History      []engine.ImageHistory `json:",omitempty"`
	UsedBy       []string              `json:",omitempty"`
}

type imageConfig struct {
	User         string
	Env          []string
	Entrypoint   []string
	Cmd          []string
	WorkingDir   string
	Volumes      map[string]struct{} `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Labels       map[string]string
	StopSignal   string      `json:",omitempty"`
	Healthcheck  *healthJSON `json:",omitempty"`
}

type healthJSON struct {
	Test          []string      `json:",omitempty"`
	Interval      time.Duration `json:",omitempty"`
	Timeout       time.Duration `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
	Retries       int           `json:",omitempty"`
}

type imageRootFS struct {
	Type   string
	Layers []string
}

func inspectImage(img engine.ImageDetails) imageInspect {
	conf := img.Config
	out := imageInspect{
		ID: "sha256:" + img.ID, RepoTags: []string{}, RepoDigests: []string{}, Created: img.Created, Author: img.Author,
		Architecture: conf.Architecture, Os: conf.OS, Size: img.Size, History: img.History, UsedBy: img.UsedBy,
		Config: imageConfig{User: conf.User, Env: conf.Env, Entrypoint: conf.Entrypoint, Cmd: conf.Cmd,
			WorkingDir: conf.WorkingDir, Volumes: set(conf.Volumes), ExposedPorts: set(conf.ExposedPorts), Labels: conf.Labels,
			StopSignal: conf.StopSignal},
		RootFS: imageRootFS{Type: "layers", Layers: img.DiffIDs},
	}
	for _, name := range img.Names {
		repo, _ := splitName(familiar(name))
		if strings.Contains(name, "@") {
			out.RepoDigests = append(out.RepoDigests, familiar(name))
			continue
		}
		out.RepoTags = append(out.RepoTags, familiar(name))
		if img.Digest != "" {
			out.RepoDigests = append(out.RepoDigests, repo+"@"+img.Digest)
		}
	}
	if h := conf.Health; h != nil {
		out.Config.Healthcheck = &healthJSON{h.Test, h.Interval, h.Timeout, h.StartPeriod, h.StartInterval, h.Retries}
	}
	return out
}

func set(names []string) map[string]struct{} {
	m := map[string]struct{}{}
	for _, n := range names {
		m[n] = struct{}{}
	}
	return m
}

// printInspect prints details as an indented JSON array, or each by a template.
func printInspect[T any](con *console, format string, list []T) error {
	if format == "" || format == "json" {
		enc := json.NewEncoder(con.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "    ")
		if list == nil {
			list = []T{}
		}
		return enc.Encode(list)
	}
	t, err := parseTemplate(format)
	if err != nil {
		return err
	}
	for _, item := range list {
		named, err := asJSON(item)
		if err == nil {
			err = render(con.out, t, named)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// asJSON is v as its JSON says, so that templates know fields by the names that people see.
func asJSON(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // or large numbers would show as 2.1e+06
	var out any
	err = dec.Decode(&out)
	return out, err
}
