package podccompose

// Config is the verb of `podc config`, which takes flags and prints: podc hands its arguments on.
const Config = "config"

// ConfigFlag is one flag of `config`: `podc-compose config` parses by this table.
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
		{Name: "file", Short: "f", Value: "FILE", Repeated: true, Usage: "compose FILE, \"-\" for standard input"},
		{Name: "project-name", Short: "p", Value: "NAME", Usage: "project name"},
		{Name: "project-directory", Value: "DIR", Usage: "base of relative paths"},
		{Name: "profile", Value: "NAME", Repeated: true, Usage: "profile to activate, \"*\" for all"},
		{Name: "env-file", Value: "FILE", Repeated: true, Usage: "file with variables for the compose file"},
		{Name: "all-resources", Usage: "keep networks and volumes that no selected service uses"},
		{Name: "compatibility", Usage: "separate names by \"_\""},

		{Name: "format", Value: "FORMAT", Usage: ""},
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
