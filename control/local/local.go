// Package local is podc on this machine: what package control promises, of the engine and of the helpers that lie beside podc.
package local

import (
	"context"
	"io"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/engine"
	"podc.example/podc/internal/podcimage"
	"podc.example/podc/secrets"
)

// Config says what podc on this machine is made of.
type Config struct {
	Engine *engine.Engine
	Root   string // the data root
	Images Images
	// Idle returns when no command is at work on a project.
	Idle func(ctx context.Context, project string) error
}

// Images is the image store.
type Images interface {
	// Resolve says what references mean here; those that mean nothing are left out.
	Resolve(ctx context.Context, group string, refs []string) (map[string]api.Image, error)
	// Commit makes an image of a request and the layer that r streams; what libraries complain about goes to warn.
	Commit(ctx context.Context, req podcimage.CommitRequest, r io.Reader, warn func(text string)) (podcimage.CommitReply, error)
}

// Open returns podc on this machine. It has no side effect.
func Open(cfg Config) *control.Control {
	c := containers{cfg.Engine, networks{cfg.Engine}, cfg.Images}
	return &control.Control{
		Containers: c,
		Streams:    streams{cfg, c},
		Files:      files{cfg, c},
		Networks:   networks{cfg.Engine},
		Volumes:    volumesOf{cfg.Engine},
		Secrets:    objects{cfg.Root, secrets.Secret},
		Configs:    objects{cfg.Root, secrets.Config},
	}
}
