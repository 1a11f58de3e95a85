package compose

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/internal/disk"
)

func processEnvironment() map[string]string {
	env := map[string]string{}
	for _, kv := range os.Environ() {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			env[k] = v
		}
	}
	return env
}

// loadEnvFiles merges the env files into the environment: --env-file, else COMPOSE_ENV_FILES, else dir/.env. What is set
// already wins; of several files the last wins.
func (l *load) loadEnvFiles(dir string) error {
	files, required := l.envFiles(dir)
	l.inputs.add(files...)
	if !required && (missing(files...) || isFolder(files...)) {
		return nil // a Python environment is often called .env
	}
	g := newGrowth(types.Mapping(l.env).Resolve)
	for _, f := range files {
		if err := l.checkVariables(f, "env file", "", g); err != nil {
			return err
		}
	}
	vars, err := dotenv.GetEnvFromFile(l.env, files)
	if err != nil {
		return l.loaderError(err)
	}
	l.promote(vars)
	return nil
}

// ReadVariables reads an env file that is named on the command line. A reference to a variable means lookup's, else that of an
// earlier line.
func ReadVariables(path string, lookup func(string) (string, bool)) (map[string]string, error) {
	content, err := disk.ReadGiven(path, MaxFile)
	if err != nil {
		return nil, fileError(path, "env file", "", err)
	}
	if err := newGrowth(lookup).check(path, string(content)); err != nil {
		return nil, err
	}
	vars, err := dotenv.ParseWithLookup(bytes.NewReader(content), lookup)
	if err != nil {
		return nil, Invalid("", "%s: %v", path, err)
	}
	maps.DeleteFunc(vars, func(name, _ string) bool { return name != "" && name[0] >= '0' && name[0] <= '9' }) // as env files of services
	return vars, nil
}

// envFiles names the env files; required ones were asked for by name.
func (l *load) envFiles(dir string) (files []string, required bool) {
	named := l.opt.EnvFiles
	if len(named) == 0 {
		named = splitList(l.process["COMPOSE_ENV_FILES"], ",")
	}
	if len(named) > 0 {
		for _, f := range named {
			if f != "/dev/null" {
				files = append(files, l.abs(f))
			}
		}
		return files, true
	}
	if off, _ := strconv.ParseBool(l.process["COMPOSE_DISABLE_ENV_FILE"]); off {
		return nil, false
	}
	return []string{filepath.Join(dir, ".env")}, false
}

// promote adds vars to the environment and notes the COMPOSE_* among them, which act like variables of the process.
func (l *load) promote(vars map[string]string) {
	for k, v := range vars {
		if _, set := l.env[k]; set {
			continue
		}
		l.env[k] = v
		if strings.HasPrefix(k, "COMPOSE_") {
			l.promoted[k] = v
		}
	}
}

// composeFiles are the files to load: those given, else COMPOSE_FILE, else what the search finds.
func (l *load) composeFiles() ([]string, error) {
	given := l.opt.Files
	if len(given) == 0 {
		given = splitList(l.env["COMPOSE_FILE"], cmp.Or(l.env["COMPOSE_PATH_SEPARATOR"], ":"))
	}
	if len(given) == 0 {
		return l.search(l.workingDir(nil))
	}
	files := make([]string, len(given))
	for i, f := range given {
		if f == "-" {
			files[i] = f
			continue
		}
		if remote(f) {
			return nil, NotServed("", "compose file "+f, "fetch it first, and name the local copy with -f")
		}
		files[i] = l.abs(f)
	}
	return files, nil
}

// remote recognises references to compose files that are not on this machine.
func remote(path string) bool {
	prefixes := []string{"oci://", "http://", "https://", "git://", "ssh://", "git@"}
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

// workingDir is the project's folder: --project-directory, else that of the first file, else the current one.
func (l *load) workingDir(files []string) string {
	if l.opt.ProjectDir != "" {
		return l.abs(l.opt.ProjectDir)
	}
	for _, f := range files {
		if f != "-" {
			return filepath.Dir(l.abs(f))
		}
	}
	return l.cwd
}

func (l *load) profiles() []string {
	return append(splitList(l.env["COMPOSE_PROFILES"], ","), l.opt.Profiles...)
}

// setName gives the loader the project's name: the one asked for, or the folder's as a fallback for a file without `name`.
func (l *load) setName(o *loader.Options) {
	if name := l.askedName(); name != "" {
		o.SetProjectName(name, true)
		return
	}
	o.SetProjectName(loader.NormalizeProjectName(filepath.Base(l.dir)), false)
}

func (l *load) askedName() string {
	return cmp.Or(l.opt.ProjectName, l.env["COMPOSE_PROJECT_NAME"])
}

func (l *load) checkAskedName() error {
	if name := l.askedName(); name != "" && loader.NormalizeProjectName(name) != name {
		return Invalid("", "project name %q: only lower-case letters, digits, \"-\" and \"_\" are allowed, and a letter or digit comes first", name).
			WithHint("try %q", loader.NormalizeProjectName(name))
	}
	return nil
}

func splitList(s, sep string) []string {
	var list []string
	for _, e := range strings.Split(s, sep) {
		if e = strings.TrimSpace(e); e != "" {
			list = append(list, e)
		}
	}
	return list
}
