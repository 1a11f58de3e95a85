package engine

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// CommitRequest is what podc-image needs to make an image of a container, beside the stream of its layer.
type CommitRequest struct {
	Image   string       `json:"image"`             // ID of the image below
	Name    string       `json:"name,omitempty"`    // of the image that is made; empty: it has none
	Author  string       `json:"author,omitempty"`  // in its history and config
	Message string       `json:"message,omitempty"` // in its history
	Command string       `json:"command,omitempty"` // that made the layer, in its history
	Config  CommitConfig `json:"config"`
}

// CommitConfig is the config of an image that is made of a container, by the names that it has in images.
type CommitConfig struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
	Healthcheck  *CommitHealth       `json:"Healthcheck,omitempty"`
	// OnBuild comes after what the image below has.
	OnBuild []string `json:"OnBuild,omitempty"`
}

// CommitHealth is a health check by the names that it has in images; durations are in nanoseconds.
type CommitHealth struct {
	Test          []string
	Interval      time.Duration `json:",omitempty"`
	Timeout       time.Duration `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
	Retries       int           `json:",omitempty"`
}

// CommitReply is the image that was made.
type CommitReply struct {
	Image ImageSummary `json:"image"`
}

// CommitConfigOf is how a pod's container is run, as an image would say it: the image's own config with what the pod changes.
// Labels that say what a container is part of are left out: they would make every container of the image a part of it.
func CommitConfigOf(p api.Pod, own func(label string) bool) CommitConfig {
	img := p.Image.Config
	is := api.Effective(p.Spec.Container, img)
	c := CommitConfig{
		User: is.User, WorkingDir: is.WorkingDir, StopSignal: is.StopSignal, Env: is.Env, Entrypoint: is.Entrypoint, Cmd: is.Command,
		ExposedPorts: map[string]struct{}{}, Volumes: map[string]struct{}{}, Labels: maps.Clone(img.Labels), Healthcheck: commitHealth(is.Health),
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

func commitHealth(h *api.HealthCheck) *CommitHealth {
	if h == nil {
		return nil
	}
	return &CommitHealth{h.Test, h.Interval, h.Timeout, h.StartPeriod, h.StartInterval, h.Retries}
}

// MountPoints are the places in a container where something is, or was, mounted, as its last start had them.
func (s *store) MountPoints(p api.Pod) []string {
	var last specs.Spec
	disk.ReadJSON(s.e.paths.config(p.Spec.Name), &last) // of one that was never started there is none
	var mounts []string
	for _, m := range last.Mounts {
		mounts = append(mounts, m.Destination)
	}
	mounts = append(mounts, slices.Sorted(maps.Keys(p.Volumes))...)
	for i, m := range mounts {
		mounts[i] = strings.Trim(m, "/")
	}
	slices.Sort(mounts)
	return slices.Compact(mounts)
}
