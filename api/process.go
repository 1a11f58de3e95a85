package api

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
)

// Process is what a container is run with.
type Process struct {
	Entrypoint, Command []string
	Env                 []string // K=V
	User, WorkingDir    string   // empty: the runtime's, root and /
	StopSignal          string   // empty: SIGTERM
	Exposed             []string // ports that it is said to listen on, "80/tcp", sorted
	Health              *HealthCheck
}

// ExecOptions are a further command that is run in a container.
type ExecOptions struct {
	Args       []string `json:"args"`
	Env        []string `json:"env,omitempty"`         // K=V, beside the container's own
	User       string   `json:"user,omitempty"`        // empty: the container's
	WorkingDir string   `json:"working_dir,omitempty"` // empty: the container's
	Privileged bool     `json:"privileged,omitempty"`
	Detach     bool     `json:"detach,omitempty"` // leave it alone once it runs
	TTY        bool     `json:"tty,omitempty"`    // with a terminal
	Width      int      `json:"width,omitempty"`  // of the terminal at first; 0: unknown
	Height     int      `json:"height,omitempty"`
}

// Effective is what a container is run with: its spec where that says something, else its image, by docker's rules. The engine runs
// it, inspect shows it, commit writes it, and a plan waits for it.
func Effective(spec ContainerSpec, img ImageConfig) Process {
	p := Process{
		Env: MergeEnv(img.Env, spec.Env), User: cmp.Or(spec.User, img.User), WorkingDir: cmp.Or(spec.WorkingDir, img.WorkingDir),
		StopSignal: cmp.Or(spec.StopSignal, img.StopSignal), Exposed: EffectivePorts(spec, img), Health: EffectiveHealth(spec.Health, img.Health),
	}
	p.Entrypoint, p.Command = EffectiveCommand(spec, img)
	return p
}

// EffectiveCommand is the command line of a container. An entrypoint given in the spec drops the image's command, unless it is empty
// and only drops the image's entrypoint; a command alone keeps the entrypoint.
func EffectiveCommand(spec ContainerSpec, img ImageConfig) (entrypoint, command []string) {
	entrypoint, command = spec.Entrypoint, spec.Command
	if len(entrypoint) == 0 && command == nil {
		command = img.Cmd
	}
	if entrypoint == nil {
		entrypoint = img.Entrypoint
	}
	return entrypoint, command
}

func EffectivePorts(spec ContainerSpec, img ImageConfig) []string {
	if len(spec.Expose) == 0 {
		return img.ExposedPorts
	}
	ports := slices.Concat(img.ExposedPorts, spec.Expose)
	slices.Sort(ports)
	return slices.Compact(ports)
}

// EffectiveHealth is a container's health check with what it leaves open taken from the image, field by field; nil if neither has
// one. Its test may still be NONE, or empty.
func EffectiveHealth(own, image *HealthCheck) *HealthCheck {
	switch {
	case own == nil:
		return image
	case image == nil:
		return own
	}
	h := *own
	if len(h.Test) == 0 {
		h.Test = image.Test
	}
	h.Interval, h.Timeout = cmp.Or(h.Interval, image.Interval), cmp.Or(h.Timeout, image.Timeout)
	h.StartPeriod, h.StartInterval = cmp.Or(h.StartPeriod, image.StartPeriod), cmp.Or(h.StartInterval, image.StartInterval)
	h.Retries = cmp.Or(h.Retries, image.Retries)
	return &h
}

// Probes reports whether h says what to run.
func (h *HealthCheck) Probes() bool { return h != nil && len(h.Test) > 0 && h.Test[0] != "NONE" }

// MergeEnv joins lists of K=V; a later value replaces an earlier one at its place.
func MergeEnv(lists ...[]string) []string {
	var env []string
	at := map[string]int{}
	for _, kv := range slices.Concat(lists...) {
		k, _, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			continue // a bare key means nothing here; passing it on could leak the caller's value (CVE-2026-57231)
		}
		if i, seen := at[k]; seen {
			env[i] = kv
			continue
		}
		at[k] = len(env)
		env = append(env, kv)
	}
	return env
}

// NewID returns the random id of a container, in docker's form.
func NewID() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
