// Package local is podc on this machine: what package control promises, of the engine and of the helpers that lie beside podc.
package local

import (
	"path/filepath"

	"podc.example/podc/control"
	"podc.example/podc/engine"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podcbuild"
	"podc.example/podc/internal/podcimage"
	"podc.example/podc/internal/rootkey"
	"podc.example/podc/secrets"
)

// Config says where podc on this machine keeps things and finds them.
type Config struct {
	Root, RunRoot string // the data root, the run root
	Helpers       string // folder of podc's helper programs
	Dir           string // working directory of helpers
	Env           map[string]string
	UID           int // of who asks
}

// images asks podc-image, and remembers what references mean.
func (c Config) images() podcimage.Client {
	p := helper.Program{Path: filepath.Join(c.Helpers, podcimage.Program), Dir: c.Dir, Env: c.Env, Deadline: podcimage.Deadline}
	return podcimage.Client{Helper: p, Root: c.Root, RunRoot: c.RunRoot, Memos: func() (helper.Memos, error) {
		key, saved, err := rootkey.Of(c.Root)
		if !saved {
			return helper.Memos{}, err
		}
		return p.Memos(c.RunRoot, key), nil
	}}
}

// builds asks podc-build.
func (c Config) builds() podcbuild.Client {
	return podcbuild.Client{Helper: helper.Program{Path: filepath.Join(c.Helpers, podcbuild.Program), Dir: c.Dir, Env: c.Env}, Root: c.Root, RunRoot: c.RunRoot}
}

// Open returns podc on this machine. It has no side effect.
func Open(cfg Config) (*control.Control, error) {
	e, err := engine.Open(engine.Config{Root: cfg.Root, RunRoot: cfg.RunRoot, Helpers: cfg.Helpers,
		CNI: engine.CNIFrom(func(name string) string { return cfg.Env[name] })})
	if err != nil {
		return nil, err
	}
	client := cfg.images()
	h := &held{}
	c, p := containers{e, networks{e}, client, h}, projects{cfg.RunRoot, e, client, cfg.builds(), h}
	return &control.Control{
		Projects:   p,
		System:     system{cfg, e, client},
		Images:     images{client, cfg.builds(), e},
		Containers: c,
		Streams:    streams{e, c, p},
		Files:      files{e, c, client},
		Networks:   networks{e},
		Volumes:    volumesOf{e},
		Secrets:    objects{secrets.Open(cfg.Root, secrets.Secret), secrets.Secret},
		Configs:    objects{secrets.Open(cfg.Root, secrets.Config), secrets.Config},
	}, nil
}
