// Package compose turns compose files into one checked model: it finds and reads them as docker compose does (override files,
// .env, profiles, include, extends, interpolation), refuses what is wrong or not served by name and line, and orders the
// services. It knows YAML and the Compose Specification, and nothing of containers.
//
// Parsing and merging are compose-go's; the rest of the checks is podc's own, so that every refusal names file, line or key.
package compose

import (
	"context"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/compose-spec/compose-go/v2/validation"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/valid"
)

// Options say which project to load; the zero value is the one of the current directory.
type Options struct {
	Files       []string // -f; none: COMPOSE_FILE, else the upward search; "-" is Stdin
	Stdin       []byte
	WorkingDir  string   // where relative Files and the search start; empty: the process's
	ProjectDir  string   // --project-directory
	ProjectName string   // -p
	Profiles    []string // --profile, added to COMPOSE_PROFILES
	EnvFiles    []string // --env-file
	// Services restricts the project to these and, unless NoDeps, what they depend on. They are active whatever their profiles.
	Services     []string
	NoDeps       bool
	AllResources bool // keep networks, volumes, configs and secrets that no active service uses
	// Environment is what variables are looked up in; nil: the process's.
	Environment map[string]string

	// The rest is for showing a model rather than running it.
	Lenient          bool // keys that are not served are warned about, not refused
	Shown            bool // so are names and images that nothing can be made of: they are to be seen
	NoInterpolate    bool
	NoNormalize      bool
	NoConsistency    bool // skip the checks between parts of the model
	NoPathResolution bool
	NoEnvResolution  bool // do not read env files and label files of services
}

// Project is a loaded, checked project.
type Project struct {
	*types.Project
	// Order holds the names of the active services, dependencies before dependents, then by name.
	Order []string
	// Inputs are the absolute paths whose content, presence or absence shaped the project, sorted.
	Inputs   []string
	Warnings []string
	// EnvFiles are the env files that were asked for by name (not the default .env).
	EnvFiles []string
	// Promoted are the COMPOSE_* variables that came from an env file rather than the process.
	Promoted map[string]string

	// StatedName is the name that the project is asked to have, or that its files state: also if they cannot be used.
	StatedName string

	// Streamed says that a file was the standard input or a pipe, which cannot be read again.
	Streamed bool

	files []scanned
}

// load is the state of one Load.
type load struct {
	opt      Options
	cwd      string
	process  map[string]string // the environment as given
	env      map[string]string // with env files merged in
	promoted map[string]string
	dir      string // the project's folder
	inputs   inputs
	files    []scanned
	warnings []string
	warned   map[string]bool
	unset    map[string]bool // variables that were asked for and not set
	room     int             // bytes that variables may still add to values
	read     int             // bytes of env and label files
	vars     int             // variables in them
	streamed bool
	stated   string // the name that was asked for, else that of the files
}

func newLoad(opt Options) *load {
	return &load{opt: opt, inputs: inputs{}, promoted: map[string]string{}, warned: map[string]bool{}, unset: map[string]bool{},
		room: maxExpanded}
}

// Load reads and checks a project. It has no side effects. Errors are of type *Error; with one of them the returned project,
// if not nil, holds only StatedName, Inputs and Warnings.
func Load(ctx context.Context, opt Options) (*Project, error) {
	registerRawFormat()
	l := newLoad(opt)
	p, err := l.run(ctx)
	if p == nil {
		p = &Project{}
	}
	p.Inputs, p.Warnings, p.Promoted = l.inputs.sorted(), l.warnings, l.promoted
	p.StatedName = l.stated
	if err != nil {
		return p, l.located(err)
	}
	return p, nil
}

// Model merges the files of a project without binding them to types, for showing what cannot be bound: variables kept as they
// are. Nothing but the files themselves is checked.
func Model(ctx context.Context, opt Options) (model map[string]any, warnings []string, err error) {
	l := newLoad(opt)
	model, _, err = l.model(ctx)
	if err != nil {
		return nil, l.warnings, l.located(err)
	}
	return model, l.warnings, nil
}

func (l *load) run(ctx context.Context) (*Project, error) {
	model, details, err := l.model(ctx)
	if err != nil {
		return nil, err
	}
	return l.build(model, details)
}

// model finds, scans and merges the files.
func (l *load) model(ctx context.Context) (map[string]any, types.ConfigDetails, error) {
	if err := l.start(); err != nil {
		return nil, types.ConfigDetails{}, err
	}
	details, err := l.find()
	if err != nil {
		return nil, details, err
	}
	model, err := loader.LoadModelWithContext(ctx, details, l.loaderOptions(&details))
	if err != nil && twoSources.MatchString(err.Error()) {
		if again, ok := l.modelOfIncluded(ctx, details); ok {
			return again, details, nil
		}
	}
	if err != nil {
		return nil, details, l.loaderError(err)
	}
	return model, details, nil
}

// twoSources is how the loader refuses a config that has more than one source.
var twoSources = regexp.MustCompile(`^configs\.\S+: file\|environment\|content attributes are mutually exclusive$`)

// modelOfIncluded loads the model once more, for a config from the environment in a file that is included: the loader gives it the
// content that it has in that file's environment, and then finds that it has two sources. Not ok: it has them, or something else
// is wrong. The loader has checked each file before; what is left to check is the whole.
func (l *load) modelOfIncluded(ctx context.Context, details types.ConfigDetails) (model map[string]any, ok bool) {
	model, err := loader.LoadModelWithContext(ctx, details, l.loaderOptions(&details), loader.WithSkipValidation)
	if err != nil {
		return nil, false
	}
	configs, _ := model["configs"].(map[string]any)
	contents := map[string]any{}
	for name, c := range configs {
		if config, ok := c.(map[string]any); ok && config["environment"] != nil && !says(l.files, "configs", name, "content") {
			contents[name] = config["content"]
			delete(config, "content")
		}
	}
	if err := validation.Validate(model); err != nil {
		return nil, false
	}
	for name, content := range contents {
		if content != nil {
			configs[name].(map[string]any)["content"] = content
		}
	}
	return model, true
}

// start settles the current directory and the environment of the process.
func (l *load) start() (err error) {
	if l.cwd = l.opt.WorkingDir; l.cwd == "" {
		if l.cwd, err = os.Getwd(); err != nil {
			return Invalid("", "cannot find the current directory: %v", err)
		}
	}
	l.process = l.opt.Environment
	if l.process == nil {
		l.process = processEnvironment()
	}
	l.env = maps.Clone(l.process)
	if l.env == nil {
		l.env = map[string]string{}
	}
	if _, set := l.env["PWD"]; !set {
		l.env["PWD"] = l.cwd
	}
	return nil
}

// find settles files, folder, environment and name, and scans every file.
func (l *load) find() (types.ConfigDetails, error) {
	none := types.ConfigDetails{}
	first := l.workingDir(l.opt.Files)
	if err := l.loadEnvFiles(first); err != nil {
		return none, err
	}
	files, err := l.composeFiles()
	if err != nil {
		return none, err
	}
	if l.dir = l.workingDir(files); l.dir != first {
		if err := l.loadEnvFiles(l.dir); err != nil {
			return none, err
		}
	}
	if err := l.checkAskedName(); err != nil {
		return none, err
	}
	config, err := l.scan(files)
	return types.ConfigDetails{WorkingDir: l.dir, ConfigFiles: config, Environment: types.Mapping(l.env)}, err
}

// scan reads the files, and everything they refer to, once.
func (l *load) scan(files []string) ([]types.ConfigFile, error) {
	s := &scanner{load: l, seen: map[string]bool{}, sizes: map[string]int{}, bodies: map[string]*body{}}
	var config []types.ConfigFile
	asked := l.askedName() // before the loader puts the name that it has found there
	l.stated = asked
	for _, path := range files {
		content := l.opt.Stdin
		l.streamed = l.streamed || path == "-"
		if path != "-" {
			l.inputs.add(path)
			l.streamed = l.streamed || isPipe(path)
			var err error
			if content, err = disk.ReadGiven(path, MaxFile); err != nil {
				return nil, fileError(l.display(path), "compose file", "", err)
			}
		}
		if name := topName.FindSubmatch(content); name != nil && asked == "" {
			l.stated = string(name[1])
		}
		if len(strings.TrimSpace(string(content))) == 0 {
			return nil, Invalid("", "%s is empty", l.display(path))
		}
		if err := s.file(path, content, scope{dir: l.dir, env: types.Mapping(l.env)}); err != nil {
			return nil, err
		}
		config = append(config, types.ConfigFile{Filename: path, Content: content})
	}
	return config, nil
}

// topName finds the project's name in a file that may be no YAML.
var topName = regexp.MustCompile(`(?m)^(?:\{[ \t]*)?["']?name["']?[ \t]*:[ \t]*["']?([a-z0-9][a-z0-9_-]*)`)

func (l *load) loaderOptions(details *types.ConfigDetails) func(*loader.Options) {
	return func(o *loader.Options) {
		if name, _ := o.GetProjectName(); name == "" {
			l.setName(o)
		}
		o.Profiles = l.profiles()
		o.SkipInterpolation = l.opt.NoInterpolate
		o.SkipNormalization = l.opt.NoNormalize
		o.ResolvePaths = !l.opt.NoPathResolution
		o.SkipConsistencyCheck = true // check.go does it, in a fixed order and with key paths
		o.SkipResolveEnvironment = true
		o.SkipResolveLabels = true
		o.MaxNodeVisits = 2 * maxNodes // it counts mappings and aliases otherwise than shape does
		o.Interpolate.Substitute = l.substitute
	}
}

func (l *load) substitute(text string, lookup template.Mapping) (string, error) {
	s := &substitution{lookup: lookup, room: &l.room, unset: func(name string) {
		l.unset[name] = true
		l.warn("variable %s is not set; using an empty string", name)
	}}
	out, err := s.expand(text, 0)
	if err == nil && out != text {
		err = valid.Text(out)
	}
	return out, err
}

// build makes the project of the merged model.
func (l *load) build(model map[string]any, details types.ConfigDetails) (*Project, error) {
	found := findings(model)
	opts := loader.ToOptions(&details, []func(*loader.Options){l.loaderOptions(&details)})
	opts.SetProjectName(details.Environment["COMPOSE_PROJECT_NAME"], true)
	tp, err := loader.ModelToProject(model, opts, details)
	if err != nil {
		return nil, l.loaderError(err)
	}
	if convert, _ := strconv.ParseBool(l.env["COMPOSE_CONVERT_WINDOWS_PATHS"]); convert {
		convertDrives(tp)
	}
	if tp, err = l.selected(tp); err != nil {
		return nil, err
	}
	active := func(name string) bool { _, ok := tp.Services[name]; return ok }
	if err := l.judge(found, active); err != nil {
		return nil, err
	}
	if tp, err = l.resolved(tp); err != nil {
		return nil, err
	}
	writableKeys(tp)
	p := &Project{Project: tp, Streamed: l.streamed, files: l.files}
	for _, d := range details.ConfigFiles {
		p.ComposeFiles = append(p.ComposeFiles, d.Filename)
	}
	if files, named := l.envFiles(l.dir); named {
		p.EnvFiles = files
	}
	return p, l.check(p)
}

// writableKeys keeps the SSH keys of builds as id=path: compose-go writes a key with a path in a form that it does not read.
func writableKeys(tp *types.Project) {
	for _, s := range tp.Services {
		if s.Build == nil {
			continue
		}
		for i, k := range s.Build.SSH {
			if k.Path != "" {
				s.Build.SSH[i] = types.SSHKey{ID: k.ID + "=" + k.Path}
			}
		}
	}
}

// Locate names the file and line where key (such as "services.web.ports[0]"), or the part of it that is written down,
// stands; an empty name if nowhere.
func (p *Project) Locate(key string) (file string, line int) { return locate(p.files, key) }

// Says reports whether a file gives a service key a value. It is for zeros that mean something: the model does not tell them from
// keys that are absent.
func (p *Project) Says(service, key string) bool { return says(p.files, "services", service, key) }

// Located completes the problems of err, which came of translating p, with the places of their keys.
func (p *Project) Located(err error) error { return locatedIn(p.files, err) }

func (l *load) located(err error) error {
	e := asError(locatedIn(l.files, err))
	for i, p := range e.Problems {
		e.Problems[i].Text += l.unsetAt(p.Key)
	}
	return e
}

func locatedIn(files []scanned, err error) error {
	e := asError(err)
	if len(e.Problems) > maxProblems {
		e.Problems = append(e.Problems[:maxProblems:maxProblems], Problem{Text: "and more of the kind"})
	}
	for i, p := range e.Problems {
		if p.File == "" && p.Key != "" {
			e.Problems[i].File, e.Problems[i].Line = locate(files, p.Key)
		}
	}
	return e
}
