package api

import "strings"

// Build is what an image is made of: a folder and a Dockerfile, and all that shapes the result. Paths are absolute.
type Build struct {
	Context    string            `json:"context"`              // a folder, or the URL of a git repository or an archive
	Dockerfile string            `json:"dockerfile,omitempty"` // a path, in a remote context relative to it; empty: Dockerfile of the context
	Inline     string            `json:"inline,omitempty"`     // a Dockerfile's text, instead
	Contexts   map[string]string `json:"contexts,omitempty"`   // further ones by name: a folder, a URL, docker-image://REF
	Target     string            `json:"target,omitempty"`     // stage; empty: the last
	Args       map[string]string `json:"args,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Names      []string          `json:"names,omitempty"`     // of the result; none: it has an ID only
	Platforms  []string          `json:"platforms,omitempty"` // empty: this host's

	Pull          bool     `json:"pull,omitempty"` // base images are pulled even if they are here
	NoCache       bool     `json:"no_cache,omitempty"`
	NoCacheFilter []string `json:"no_cache_filter,omitempty"` // stages
	CacheFrom     []string `json:"cache_from,omitempty"`      // as in docker's: a reference, or type=...,key=value
	CacheTo       []string `json:"cache_to,omitempty"`

	Network      string            `json:"network,omitempty"`     // of RUN steps: "" (a way out), "none" or "host"
	ExtraHosts   []string          `json:"extra_hosts,omitempty"` // "name=address"
	ShmSize      int64             `json:"shm_size,omitempty"`    // bytes; 0: 64 MiB
	Ulimits      map[string]Ulimit `json:"ulimits,omitempty"`
	Memory       int64             `json:"memory,omitempty"`       // bytes, of each step
	Entitlements []string          `json:"entitlements,omitempty"` // "network.host", "security.insecure"
	Secrets      []BuildSecret     `json:"secrets,omitempty"`
	SSH          map[string]string `json:"ssh,omitempty"` // by id: the socket of an agent or the file of a key; "": the caller's agent

	Check bool `json:"check,omitempty"` // the Dockerfile is looked at, and nothing is built
}

// BuildSecret is a secret that RUN steps may mount.
type BuildSecret struct {
	ID      string `json:"id"`
	File    string `json:"file,omitempty"`    // whose content it is
	Env     string `json:"env,omitempty"`     // or: the variable whose value it is
	Content []byte `json:"content,omitempty"` // or: itself; only on its way to whoever builds
}

// ImageContext is what the reference of an image follows that is a further context.
const ImageContext = "docker-image://"

// RemoteContext reports whether a context of a build is not a folder, but fetched.
func RemoteContext(context string) bool {
	return strings.Contains(context, "://") || strings.HasPrefix(context, "git@") || strings.HasPrefix(context, "github.com/")
}
