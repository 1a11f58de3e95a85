// Package podccompose is what podc asks podc-compose, the helper that reads compose files, and what that answers. How the two speak
// is package helper's.
package podccompose

import (
	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
)

// Program is its name.
const Program = "podc-compose"

// Load is the verb of LoadRequest.
const Load = "load"

// LoadRequest asks for the Desired of a compose project. The environment is that of the helper's process, so the caller passes its own
// on.
type LoadRequest struct {
	// Files are -f/--file in order; none: COMPOSE_FILE, else the upward search. "-" means Stdin.
	Files []string `json:"files,omitempty"`
	// Stdin is the content of the standard input, needed when Files or COMPOSE_FILE holds "-".
	Stdin []byte `json:"stdin,omitempty"`
	// WorkingDir is the caller's current directory; empty: the helper's own.
	WorkingDir  string   `json:"working_dir,omitempty"`
	ProjectDir  string   `json:"project_dir,omitempty"`  // --project-directory
	ProjectName string   `json:"project_name,omitempty"` // -p/--project-name
	Profiles    []string `json:"profiles,omitempty"`     // --profile, added to COMPOSE_PROFILES
	EnvFiles    []string `json:"env_files,omitempty"`    // --env-file
	// Services restricts the answer to these services and what they depend on; all others are listed as Disabled. A named
	// service is switched on whatever its profiles. None: every service of the active profiles.
	Services []string `json:"services,omitempty"`
	// NoDeps leaves the dependencies of Services out (they are listed as Disabled).
	NoDeps bool `json:"no_deps,omitempty"`
	// AllResources keeps networks and volumes that no selected service uses.
	AllResources bool `json:"all_resources,omitempty"`
	// Compatibility separates the parts of names by "_" rather than "-".
	Compatibility bool `json:"compatibility,omitempty"`
	// Scale overrides replicas by service (--scale).
	Scale map[string]int `json:"scale,omitempty"`
	// Existing asks for no more than what commands about existing containers need: names, services and what they depend on.
	// Then files and variables that are missing, and ports that collide, are no errors; nor are keys that are not served.
	Existing bool `json:"existing,omitempty"`
	// Run amends a service before it is translated, for `run`; nil: nothing does.
	Run *RunRequest `json:"run,omitempty"`
	// Key makes the digests of values that may be secret; one fixed random key per data root.
	Key []byte `json:"key"`
	// Store is the data root, in which external secrets and configs are found.
	Store string `json:"store,omitempty"`
	// Version is podc's, for the version label; it has no part in any hash.
	Version string `json:"version,omitempty"`
}

// RunRequest are the flags of `run` that need the compose file's own parsers.
type RunRequest struct {
	Service      string   `json:"service"`
	ServicePorts bool     `json:"service_ports,omitempty"` // keep the service's own ports
	Ports        []string `json:"ports,omitempty"`         // --publish
	Volumes      []string `json:"volumes,omitempty"`       // --volume
	EnvFiles     []string `json:"env_files,omitempty"`     // --env-from-file; relative to WorkingDir
	// Entrypoint is a command line, split as a shell does, that stands in for the service's entrypoint and command.
	Entrypoint *string `json:"entrypoint,omitempty"`
}

// LoadReply holds either Desired or Fault: that a project cannot be loaded is an answer.
type LoadReply struct {
	Desired *project.Desired `json:"desired,omitempty"`
	// Contents are the bytes of configs and secrets that have no file of their own (environment, content), by project.ContentKey;
	// Desired.Fill puts them in place. They may be secret: never store them.
	Contents map[string][]byte `json:"contents,omitempty"`
	// Inputs are the absolute paths whose content, presence or absence shaped the result, sorted; directories are not among
	// them, except where a path that should have been a file is one.
	Inputs []string `json:"inputs,omitempty"`
	// Memo says that Desired may be kept and used again while request, environment and Inputs are unchanged. It holds keyed
	// digests of Contents at most.
	Memo bool `json:"memo"`
	// Promoted are the COMPOSE_* variables that env files set and the process did not: defaults of flags such as
	// COMPOSE_REMOVE_ORPHANS.
	Promoted map[string]string `json:"promoted,omitempty"`
	Fault    *fault.Fault      `json:"fault,omitempty"`
	// StatedName is, with Fault, the name that the project was asked to have or that its files state, if they can be read that far.
	StatedName string `json:"stated_name,omitempty"`
}
