package compose

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
)

// resolved reads the env files and label files of the active services, and notes the files of configs and secrets.
func (l *load) resolved(tp *types.Project) (*types.Project, error) {
	l.fileObjects(tp)
	if l.opt.NoEnvResolution || l.opt.NoPathResolution || l.opt.NoInterpolate {
		return tp, nil
	}
	var errs []error
	for _, name := range tp.ServiceNames() {
		s := tp.Services[name]
		errs = append(errs, l.checkServiceFiles("services."+name, s.ContainerSpec)...)
		for i, h := range s.PreStart {
			errs = append(errs, l.checkServiceFiles(fmt.Sprintf("services.%s.pre_start[%d]", name, i), h.ContainerSpec)...)
		}
	}
	if err := Join(errs...); err != nil {
		return nil, err
	}
	tp, err := tp.WithServicesEnvironmentResolved(true)
	if err != nil {
		return nil, l.loaderError(err)
	}
	if tp, err = tp.WithServicesLabelsResolved(true); err != nil {
		return nil, l.loaderError(err)
	}
	return tp, nil
}

// checkServiceFiles checks the env files and label files of a service or of a hook.
func (l *load) checkServiceFiles(key string, s types.ContainerSpec) []error {
	var errs []error
	vars, labels := newGrowth(func(name string) (string, bool) {
		if v, ok := l.env[name]; ok {
			return v, true
		}
		if v := s.Environment[name]; v != nil {
			return *v, true
		}
		return "", false
	}), newGrowth(func(string) (string, bool) { return "", false })
	for i, f := range s.EnvFiles {
		l.inputs.add(f.Path)
		if !bool(f.Required) && missing(f.Path) {
			continue
		}
		errs = append(errs, l.checkVariables(f.Path, "env file", fmt.Sprintf("%s.env_file[%d]", key, i), vars))
	}
	for i, f := range s.LabelFiles {
		l.inputs.add(f)
		errs = append(errs, l.checkVariables(f, "label file", fmt.Sprintf("%s.label_file[%d]", key, i), labels))
	}
	return errs
}

// missing says that none of the paths exists.
func missing(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(p string) bool {
		_, err := os.Stat(p)
		return !os.IsNotExist(err)
	})
}

// isFolder says that one of the paths is a folder.
func isFolder(paths ...string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		st, err := os.Stat(p)
		return err == nil && st.IsDir()
	})
}

func isPipe(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode()&os.ModeNamedPipe != 0
}

// fileObjects notes the files behind configs and secrets as inputs.
func (l *load) fileObjects(tp *types.Project) {
	for _, c := range tp.Configs {
		if c.File != "" {
			l.inputs.add(c.File)
		}
	}
	for _, s := range tp.Secrets {
		if s.File != "" {
			l.inputs.add(s.File)
		}
	}
}

// registerRawFormat teaches compose-go the env file format "raw": KEY=VALUE lines taken as they are. The registry is
// compose-go's own global.
var registerRawFormat = sync.OnceFunc(func() { dotenv.RegisterFormat("raw", parseRaw) })

func parseRaw(r io.Reader, filename string, vars map[string]string, lookup func(string) (string, bool)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, MaxFile)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeft(strings.TrimPrefix(lines.Text(), "\uFEFF"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, has := strings.Cut(line, "=")
		if key == "" || strings.ContainsAny(key, " \t") {
			return fmt.Errorf("%s:%d: not a variable: %q", filename, n, line)
		}
		if !has {
			if value, has = lookup(key); !has {
				continue
			}
		}
		vars[key] = value
	}
	return lines.Err()
}
