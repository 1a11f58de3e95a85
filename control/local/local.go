// Package local is podc on this machine: what package control promises, of the engine and of the helpers that lie beside podc.
package local

import (
	"podc.example/podc/control"
	"podc.example/podc/engine"
	"podc.example/podc/internal/podcimage"
	"podc.example/podc/secrets"
)

// Config says what podc on this machine is made of.
type Config struct {
	Engine        *engine.Engine
	Root, RunRoot string // the data root, the run root
	Images        podcimage.Client
}

// Open returns podc on this machine. It has no side effect.
func Open(cfg Config) *control.Control {
	c, h := containers{cfg.Engine, networks{cfg.Engine}, cfg.Images}, &held{}
	p := projects{cfg, h}
	return &control.Control{
		Projects:   p,
		System:     system{cfg},
		Containers: c,
		Streams:    streams{cfg, c, p},
		Files:      files{cfg, c},
		Networks:   networks{cfg.Engine},
		Volumes:    volumesOf{cfg.Engine},
		Secrets:    objects{cfg.Root, secrets.Secret},
		Configs:    objects{cfg.Root, secrets.Config},
	}
}
