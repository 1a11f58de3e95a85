// Package commit makes the config of an image out of a container: what a commit asks for beside the container's files.
package commit

import (
	"maps"
	"strconv"
	"time"

	"podc.example/podc/api"
)

// Config is the config of an image that is made of a container, by the names that it has in images.
type Config struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
	Healthcheck  *Health             `json:"Healthcheck,omitempty"`
	// OnBuild comes after what the image below has.
	OnBuild []string `json:"OnBuild,omitempty"`
}

// Health is a health check by the names that it has in images; durations are in nanoseconds.
type Health struct {
	Test          []string
	Interval      time.Duration `json:",omitempty"`
	Timeout       time.Duration `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
	Retries       int           `json:",omitempty"`
}

// Of is how a pod's container is run, as an image would say it: the image's own config with what the pod changes.
// Labels that say what a container is part of are left out: they would make every container of the image a part of it.
func Of(p api.Pod, own func(label string) bool) Config {
	img := p.Image.Config
	is := api.Effective(p.Spec.Container, img)
	c := Config{
		User: is.User, WorkingDir: is.WorkingDir, StopSignal: is.StopSignal, Env: is.Env, Entrypoint: is.Entrypoint, Cmd: is.Command,
		ExposedPorts: map[string]struct{}{}, Volumes: map[string]struct{}{}, Labels: maps.Clone(img.Labels), Healthcheck: healthOf(is.Health),
	}
	for _, port := range is.Exposed {
		c.ExposedPorts[port] = struct{}{}
	}
	for _, port := range p.Spec.Network.Ports {
		c.ExposedPorts[strconv.Itoa(int(port.Container))+"/"+port.Protocol] = struct{}{}
	}
	for _, target := range img.Volumes {
		c.Volumes[target] = struct{}{}
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	maps.Copy(c.Labels, p.Spec.Labels)
	maps.DeleteFunc(c.Labels, func(k, _ string) bool { return own(k) })
	return c
}

func healthOf(h *api.HealthCheck) *Health {
	if h == nil {
		return nil
	}
	return &Health{h.Test, h.Interval, h.Timeout, h.StartPeriod, h.StartInterval, h.Retries}
}
