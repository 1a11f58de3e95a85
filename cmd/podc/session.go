package main

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

	"podc.example/podc/control"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/internal/rootkey"
	"podc.example/podc/project"
)

// session is one run of a command: its surroundings, the global flags, and the engine of their roots.
type session struct {
	con *console
	globals
	flags *cli.Context
	podc  *control.Control
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

// open reads the global flags and opens the engine, which has no side effect.
func open(c *cli.Context, con *console) (*session, error) {
	g, err := globalsOf(c, con)
	if err != nil {
		return nil, err
	}
	s := &session{con: con, globals: g, flags: c}
	if s.podc, err = con.connect(con, g.root, g.runRoot); err != nil {
		return nil, err
	}
	s.waits.use(func(text string) { fmt.Fprintln(con.err, printable(text)) })
	c.Context = disk.ReportWaits(c.Context, s.waits.tell)
	return s, nil
}

// selection restricts what is loaded of a project.
type selection struct {
	services []string
	noDeps   bool
	scale    map[string]int
}

// load reads the compose project. Variables that env files set for podc itself take effect.
func (s *session) load(ctx context.Context, sel selection, d podccompose.Detail) (podccompose.Project, error) {
	req, err := s.loadRequest(sel)
	if err != nil {
		return podccompose.Project{}, err
	}
	return s.answer(ctx, req, d)
}

// answer is load for a question of one's own.
func (s *session) answer(ctx context.Context, req podccompose.LoadRequest, d podccompose.Detail) (podccompose.Project, error) {
	client, err := s.compose()
	if err != nil {
		return podccompose.Project{}, err
	}
	p, err := client.Load(ctx, req, d)
	if err != nil {
		return p, err
	}
	return p, s.promote(p.Promoted)
}

// compose asks podc-compose, and remembers what it answered.
func (s *session) compose() (c podccompose.Client, err error) {
	c.Helper = s.con.helper(podccompose.Program, podccompose.Deadline)
	key, saved, err := rootkey.Of(s.root)
	if saved {
		c.Memos = c.Helper.Memos(s.runRoot, key)
	}
	c.Key = key
	return c, err
}

// promote reads the global flags again with the variables that env files add to the environment.
func (s *session) promote(vars map[string]string) error {
	if len(vars) == 0 {
		return nil
	}
	con := *s.con
	con.env = maps.Clone(s.con.env)
	for k, v := range vars {
		if _, set := con.env[k]; !set {
			con.env[k] = v
		}
	}
	s.con = &con
	g, err := globalsOf(s.flags, s.con)
	s.globals = g
	return err
}

// maxComposeFile is the largest compose file, in bytes: compose.MaxFile, which podc does not link.
const maxComposeFile = 5 << 20

// loadRequest is the question for podc-compose but for the key.
func (s *session) loadRequest(sel selection) (podccompose.LoadRequest, error) {
	req := podccompose.LoadRequest{
		Files: s.files, WorkingDir: s.con.dir, ProjectDir: s.projectDir, ProjectName: s.projectName,
		Profiles: s.profiles, EnvFiles: s.envFiles, AllResources: s.allResources, Compatibility: s.compatibility,
		Services: sel.services, NoDeps: sel.noDeps, Scale: sel.scale, Version: version, Store: s.root,
	}
	if s.readsStdin() {
		b, err := readStdin(s.con, maxComposeFile)
		if err != nil {
			return req, err
		}
		req.Stdin = b
	}
	return req, nil
}

// readsStdin reports whether a compose file comes from the standard input.
func (s *session) readsStdin() bool {
	if len(s.files) > 0 {
		return slices.Contains(s.files, "-")
	}
	sep := cmp.Or(s.con.env["COMPOSE_PATH_SEPARATOR"], string(os.PathListSeparator))
	return slices.Contains(strings.Split(s.con.env["COMPOSE_FILE"], sep), "-")
}

// target is the project that a command about existing containers is about.
type target struct {
	name     string
	modelled bool     // there is a file; else labels decide
	known    []string // services of the file, those of inactive profiles included
	services []string // those named on the command line; none: all
}

// target finds the project, as existing does, for commands that need no more than names of it.
func (s *session) target(ctx context.Context, services []string) (target, error) {
	d, modelled, err := s.existing(ctx, services, podccompose.Outline)
	return target{d.Name, modelled, known(&d), services}, err
}

// existing finds the project, of which it has no more than the name where there is no file. With -p and no file, the labels of
// what exists are enough. With a file, services that it does not know are an error; but nothing that is wrong with it keeps the
// project from being looked at and taken down: what keeps it from being brought up is passed over, and a file that is no compose
// file at all is left out, with a warning, for the labels of what was made of it.
func (s *session) existing(ctx context.Context, services []string, d podccompose.Detail) (found project.Desired, modelled bool, err error) {
	labelled := func(name string) (project.Desired, bool, error) {
		return project.Desired{Name: name}, false, checkProjectName(name)
	}
	if s.projectName != "" && len(s.files) == 0 {
		return labelled(s.projectName)
	}
	w, err := s.loadExisting(ctx, d)
	switch name := s.con.env["COMPOSE_PROJECT_NAME"]; {
	case err == nil:
	case errdefs.IsNotFound(err) && len(s.files) == 0 && name != "":
		return labelled(name)
	case w.Refused && !s.missesFile(): // one that was named and is not there is a slip of the pen
		if name = cmp.Or(s.projectName, name, w.StatedName, s.madeOf(w.Inputs)); name == "" {
			return project.Desired{}, false, fault.Hint(err, "%s", cmp.Or(fault.HintOf(err), "-p NAME works without the file: labels tell what belongs to the project"))
		}
		warn(s.con, err.Error())
		warn(s.con, fmt.Sprintf("the compose file is left out: what belongs to project %s is told by labels", name))
		return labelled(name)
	default:
		return project.Desired{}, false, err
	}
	names := known(w.Desired)
	for _, name := range services {
		if !slices.Contains(names, name) {
			return project.Desired{}, false, noSuchService(name)
		}
	}
	return *w.Desired, true, nil
}

// loadExisting reads the compose project leniently where it cannot be read otherwise.
func (s *session) loadExisting(ctx context.Context, d podccompose.Detail) (podccompose.Project, error) {
	req, err := s.loadRequest(selection{})
	if err != nil {
		return podccompose.Project{}, err
	}
	w, err := s.answer(ctx, req, d)
	if err == nil || !w.Refused {
		return w, err
	}
	req.Existing = true
	if lenient, again := s.answer(ctx, req, d); again == nil {
		return lenient, nil
	}
	return w, err
}

// missesFile reports whether a compose file that was named does not exist.
func (s *session) missesFile() bool {
	return slices.ContainsFunc(s.files, func(file string) bool {
		path := file
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.con.dir, path)
		}
		_, err := os.Stat(path)
		return file != "-" && errors.Is(err, fs.ErrNotExist)
	})
}

// madeOf is the project whose containers were made of one of these files, "" if it is not exactly one.
func (s *session) madeOf(files []string) (name string) {
	pods, _ := s.podc.Containers.List(s.flags.Context, control.Selection{}) // what cannot be read was made of nothing that is known
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

func serviceOf(d *project.Desired, name string) *project.Service {
	for i := range d.Services {
		if d.Services[i].Name == name {
			return &d.Services[i]
		}
	}
	return nil
}

func noSuchService(name string) error {
	return fault.New(errdefs.ErrNotFound, "no such service: %s", name)
}

// checkProjectName holds -p to docker's rule.
func checkProjectName(name string) error {
	ok := name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == "" && name[0] != '_' && name[0] != '-'
	if !ok {
		return usage("invalid project name %q: it may hold lower-case letters, digits, \"-\" and \"_\", and begins with a letter or digit", name)
	}
	return nil
}
