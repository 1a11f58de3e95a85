package project

import (
	"encoding/json"

	"podc.example/podc/internal/fault"
)

// LoadRequest asks podc-compose for the Desired of a compose project: one JSON document on the standard input of
// `podc-compose load`. The environment is that of the helper's process, so the caller passes its own on.
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
	// Pull overrides every pull_policy (--pull); empty: as the file says.
	Pull PullPolicy `json:"pull,omitempty"`
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

// LoadReply is what `podc-compose load` writes to its standard output: one JSON document, holding either Desired or Fault.
// The exit code is 0 with Desired and 1 with Fault.
type LoadReply struct {
	Desired *Desired `json:"desired,omitempty"`
	// Contents are the bytes of configs and secrets that have no file of their own (environment, content), by ContentKey;
	// Fill puts them in place. They may be secret: never store them.
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

// ContentKey names one entry of LoadReply.Contents.
func ContentKey(service, target string) string { return service + ":" + target }

// Fill gives the files of every service the contents that did not travel with Desired.
func (r *LoadReply) Fill() {
	for i := range r.Desired.Services {
		s := &r.Desired.Services[i]
		for j := range s.Pod.Container.Files {
			f := &s.Pod.Container.Files[j]
			if b, ok := r.Contents[ContentKey(s.Name, f.Target)]; ok {
				f.Content = b
			}
		}
		for h := range s.PreStart {
			for j := range s.PreStart[h].Container.Files {
				f := &s.PreStart[h].Container.Files[j]
				f.Content = r.Contents[HookContent(s.Name, h, f.Target)]
			}
		}
	}
}

// DecodeReply decodes what `podc-compose load` wrote and fills the contents in. A reply that carries a fault is returned with
// that as the error.
func DecodeReply(b []byte) (*LoadReply, error) {
	var r LoadReply
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	if r.Fault != nil {
		return &r, r.Fault
	}
	r.Fill()
	return &r, nil
}

// ConfigFlag is one flag of `config`: podc hands its arguments on to `podc-compose config`, which parses by this table.
type ConfigFlag struct {
	Name, Short string
	Value       string // name of its value for the help; empty: a switch
	Repeated    bool
	Hidden      bool
	Usage       string
}

// ConfigFlags are the flags of `podc config`, those that stand before the command included. `podc-compose config` takes them
// in any order, mixed with the names of services.
func ConfigFlags() []ConfigFlag {
	return []ConfigFlag{
		{Name: "file", Short: "f", Value: "FILE", Repeated: true, Usage: "compose `FILE`, \"-\" for standard input"},
		{Name: "project-name", Short: "p", Value: "NAME", Usage: "project name"},
		{Name: "project-directory", Value: "DIR", Usage: "base of relative paths"},
		{Name: "profile", Value: "NAME", Repeated: true, Usage: "profile to activate, \"*\" for all"},
		{Name: "env-file", Value: "FILE", Repeated: true, Usage: "file with variables for the compose file"},
		{Name: "all-resources", Usage: "keep networks and volumes that no selected service uses"},
		{Name: "compatibility", Usage: "separate names by \"_\""},

		{Name: "format", Value: "FORMAT", Usage: "yaml or json (`FORMAT`)"},
		{Name: "output", Short: "o", Value: "FILE", Usage: "write to FILE"},
		{Name: "quiet", Short: "q", Usage: "only check"},
		{Name: "no-interpolate", Usage: "keep variables as they are"},
		{Name: "no-normalize", Usage: "do not add defaults"},
		{Name: "no-consistency", Usage: "do not check that what is named exists"},
		{Name: "no-path-resolution", Usage: "keep paths as they are"},
		{Name: "no-env-resolution", Usage: "do not read the env files of services"},
		{Name: "services", Usage: "print the names of services"},
		{Name: "volumes", Usage: "print the names of volumes"},
		{Name: "networks", Usage: "print the names of networks"},
		{Name: "models", Usage: "print the models"},
		{Name: "profiles", Usage: "print the names of profiles"},
		{Name: "images", Usage: "print the images"},
		{Name: "hash", Value: "SERVICES", Usage: "print the config hash of SERVICES, comma separated, or of all (\"*\")"},
		{Name: "variables", Usage: "print the variables of the compose file"},
		{Name: "environment", Usage: "print the variables used for the compose file"},
		{Name: "key-file", Value: "FILE", Hidden: true, Usage: "key of the data root, for --hash"},
		{Name: "resolve-image-digests", Hidden: true, Usage: "pin images to digests (not served yet)"},
		{Name: "lock-image-digests", Hidden: true, Usage: "print an override that pins images (not served yet)"},
	}
}
