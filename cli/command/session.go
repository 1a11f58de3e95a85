package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/internal/rootkey"
	"podc.example/podc/project"
)

// Session is one run of a command: its surroundings, the global flags, and the engine of their roots.
type Session struct {
	Con *show.Console
	Globals
	Flags *cli.Context
	Podc  *control.Control
	waits waits
}

// waits tell of waits for locks that take long: on the display of the operation under way, if there is one.
type waits struct {
	mu  sync.Mutex
	say func(text string)
}

func (w *waits) use(say func(text string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.say = say
}

func (w *waits) tell(what, holder string) {
	w.mu.Lock()
	say := w.say
	w.mu.Unlock()
	say("waiting for " + what + ", held by " + holder)
}

// Open reads the global flags and opens the engine, which has no side effect.
func Open(c *cli.Context, con *show.Console) (*Session, error) {
	g, err := GlobalsOf(c, con)
	if err != nil {
		return nil, err
	}
	s := &Session{Con: con, Globals: g, Flags: c}
	if s.Podc, err = con.Connect(con, g.Root, g.RunRoot); err != nil {
		return nil, err
	}
	s.waits.use(func(text string) { fmt.Fprintln(con.Err, show.Printable(text)) })
	c.Context = disk.ReportWaits(c.Context, s.waits.tell)
	return s, nil
}

// Selection restricts what is loaded of a project.
type Selection struct {
	Services []string
	NoDeps   bool
	Scale    map[string]int
}

// Load reads the compose project. Variables that env files set for podc itself take effect.
func (s *Session) Load(ctx context.Context, sel Selection, d podccompose.Detail) (podccompose.Project, error) {
	req, err := s.LoadRequest(sel)
	if err != nil {
		return podccompose.Project{}, err
	}
	return s.Answer(ctx, req, d)
}

// Answer is Load for a question of one's own.
func (s *Session) Answer(ctx context.Context, req podccompose.LoadRequest, d podccompose.Detail) (podccompose.Project, error) {
	client, err := s.Compose()
	if err != nil {
		return podccompose.Project{}, err
	}
	p, err := client.Load(ctx, req, d)
	if err != nil {
		return p, err
	}
	return p, s.promote(p.Promoted)
}

// Compose asks podc-compose, and remembers what it answered.
func (s *Session) Compose() (c podccompose.Client, err error) {
	c.Helper = s.Con.Helper(podccompose.Program, podccompose.Deadline)
	key, saved, err := rootkey.Of(s.Root)
	if saved {
		c.Memos = c.Helper.Memos(s.RunRoot, key)
	}
	c.Key = key
	return c, err
}

// promote reads the global flags again with the variables that env files add to the environment.
func (s *Session) promote(vars map[string]string) error {
	if len(vars) == 0 {
		return nil
	}
	con := *s.Con
	con.Env = maps.Clone(s.Con.Env)
	for k, v := range vars {
		if _, set := con.Env[k]; !set {
			con.Env[k] = v
		}
	}
	s.Con = &con
	g, err := GlobalsOf(s.Flags, s.Con)
	s.Globals = g
	return err
}

// maxComposeFile is the largest compose file, in bytes: compose.MaxFile, which podc does not link.
const maxComposeFile = 5 << 20

// LoadRequest is the question for podc-compose but for the key.
func (s *Session) LoadRequest(sel Selection) (podccompose.LoadRequest, error) {
	req := podccompose.LoadRequest{
		Files: s.files, WorkingDir: s.Con.Dir, ProjectDir: s.projectDir, ProjectName: s.projectName,
		Profiles: s.profiles, EnvFiles: s.envFiles, AllResources: s.allResources, Compatibility: s.Compatibility,
		Services: sel.Services, NoDeps: sel.NoDeps, Scale: sel.Scale, Version: Version, Store: s.Root,
	}
	if s.readsStdin() {
		b, err := show.ReadStdin(s.Con, maxComposeFile)
		if err != nil {
			return req, err
		}
		req.Stdin = b
	}
	return req, nil
}

// readsStdin reports whether a compose file comes from the standard input.
func (s *Session) readsStdin() bool {
	if len(s.files) > 0 {
		return slices.Contains(s.files, "-")
	}
	sep := cmp.Or(s.Con.Env["COMPOSE_PATH_SEPARATOR"], string(os.PathListSeparator))
	return slices.Contains(strings.Split(s.Con.Env["COMPOSE_FILE"], sep), "-")
}

// Target is the project that a command about existing containers is about.
type Target struct {
	Name     string
	Modelled bool     // there is a file; else labels decide
	Known    []string // services of the file, those of inactive profiles included
	Services []string // those named on the command line; none: all
}

// Target finds the project, as existing does, for commands that need no more than names of it.
func (s *Session) Target(ctx context.Context, services []string) (Target, error) {
	d, modelled, err := s.Existing(ctx, services, podccompose.Outline)
	return Target{d.Name, modelled, known(&d), services}, err
}

// Existing finds the project, of which it has no more than the name where there is no file. With -p and no file, the labels of
// what exists are enough. With a file, services that it does not know are an error; but nothing that is wrong with it keeps the
// project from being looked at and taken down: what keeps it from being brought up is passed over, and a file that is no compose
// file at all is left out, with a warning, for the labels of what was made of it.
func (s *Session) Existing(ctx context.Context, services []string, d podccompose.Detail) (found project.Desired, modelled bool, err error) {
	labelled := func(name string) (project.Desired, bool, error) {
		return project.Desired{Name: name}, false, checkProjectName(name)
	}
	if s.projectName != "" && len(s.files) == 0 {
		return labelled(s.projectName)
	}
	w, err := s.loadExisting(ctx, d)
	switch name := s.Con.Env["COMPOSE_PROJECT_NAME"]; {
	case err == nil:
	case errdefs.IsNotFound(err) && len(s.files) == 0 && name != "":
		return labelled(name)
	case w.Refused && !s.missesFile(): // one that was named and is not there is a slip of the pen
		if name = cmp.Or(s.projectName, name, w.StatedName, s.madeOf(w.Inputs)); name == "" {
			return project.Desired{}, false, fault.Hint(err, "%s", cmp.Or(fault.HintOf(err), "-p NAME works without the file: labels tell what belongs to the project"))
		}
		show.Warn(s.Con, err.Error())
		show.Warn(s.Con, fmt.Sprintf("the compose file is left out: what belongs to project %s is told by labels", name))
		return labelled(name)
	default:
		return project.Desired{}, false, err
	}
	names := known(w.Desired)
	for _, name := range services {
		if !slices.Contains(names, name) {
			return project.Desired{}, false, NoSuchService(name)
		}
	}
	return *w.Desired, true, nil
}

// loadExisting reads the compose project leniently where it cannot be read otherwise.
func (s *Session) loadExisting(ctx context.Context, d podccompose.Detail) (podccompose.Project, error) {
	req, err := s.LoadRequest(Selection{})
	if err != nil {
		return podccompose.Project{}, err
	}
	w, err := s.Answer(ctx, req, d)
	if err == nil || !w.Refused {
		return w, err
	}
	req.Existing = true
	if lenient, again := s.Answer(ctx, req, d); again == nil {
		return lenient, nil
	}
	return w, err
}

// missesFile reports whether a compose file that was named does not exist.
func (s *Session) missesFile() bool {
	return slices.ContainsFunc(s.files, func(file string) bool {
		path := file
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.Con.Dir, path)
		}
		_, err := os.Stat(path)
		return file != "-" && errors.Is(err, fs.ErrNotExist)
	})
}

// madeOf is the project whose containers were made of one of these files, "" if it is not exactly one.
func (s *Session) madeOf(files []string) (name string) {
	pods, _ := s.Podc.Containers.List(s.Flags.Context, control.Selection{}) // what cannot be read was made of nothing that is known
	for _, p := range pods {
		made := strings.Split(p.Spec.Labels[project.LabelConfigFiles], ",")
		if p.Spec.Group == name || !slices.ContainsFunc(made, func(file string) bool { return slices.Contains(files, file) }) {
			continue
		}
		if name != "" {
			return ""
		}
		name = p.Spec.Group
	}
	return name
}

// known are the services that the compose file has, in active profiles or not.
func known(d *project.Desired) []string {
	names := slices.Clone(d.Disabled)
	for _, s := range d.Services {
		names = append(names, s.Name)
	}
	return names
}

// ServiceOf is a service of d by its name, nil if there is none.
func ServiceOf(d *project.Desired, name string) *project.Service {
	for i := range d.Services {
		if d.Services[i].Name == name {
			return &d.Services[i]
		}
	}
	return nil
}

// NoSuchService is the error of a service that the compose file does not have.
func NoSuchService(name string) error {
	return fault.New(errdefs.ErrNotFound, "no such service: %s", name)
}

// checkProjectName holds -p to docker's rule.
func checkProjectName(name string) error {
	ok := name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == "" && name[0] != '_' && name[0] != '-'
	if !ok {
		return fault.Invalid("invalid project name %q: it may hold lower-case letters, digits, \"-\" and \"_\", and begins with a letter or digit", name)
	}
	return nil
}

// Selection selects the containers of the services named, or of all; what `run` made only if oneOffs is set.
func (t Target) Selection(oneOffs bool) control.Selection {
	return control.Selection{Group: t.Name, Services: t.Services, OneOffs: oneOffs}
}

// Chosen lists the containers that a command about existing ones is about, by name: those that keep, if it is not nil, wants.
func (s *Session) Chosen(t Target, oneOffs bool, keep func(api.Pod) bool) ([]api.Pod, error) {
	pods, err := s.Podc.Containers.List(s.Flags.Context, t.Selection(oneOffs))
	if keep == nil {
		return pods, err
	}
	return slices.DeleteFunc(pods, func(p api.Pod) bool { return !keep(p) }), err
}

// IsLive is for Chosen.
func IsLive(p api.Pod) bool { return p.Status.Live() }
