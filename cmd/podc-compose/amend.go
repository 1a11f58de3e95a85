package main

import (
	"cmp"
	"errors"
	"maps"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/mattn/go-shellwords"

	"podc.example/podc/compose"
	"podc.example/podc/internal/podccompose"
)

// amend changes the service of p that a one-off is made of, as the flags of `run` say. It returns the names of volumes that the
// project does not declare: they exist under these names or come with the container, and are none of the project's.
func amend(p *compose.Project, req podccompose.LoadRequest) (undeclared []string, err error) {
	r := req.Run
	if r == nil {
		return nil, nil
	}
	s, ok := p.Services[r.Service]
	if !ok {
		return nil, compose.Invalid("", "no such service: %s", r.Service)
	}
	if !r.ServicePorts {
		s.Ports = nil
	}
	for _, text := range r.Ports {
		ports, err := types.ParsePortConfig(text)
		if err != nil {
			return nil, compose.Invalid("", "cannot read --publish %s: %v", text, err)
		}
		s.Ports = append(s.Ports, ports...)
	}
	for _, text := range r.Volumes {
		v, err := parseVolume(text, req.WorkingDir)
		if err != nil {
			return nil, err
		}
		if _, declared := p.Volumes[v.Source]; v.Type == types.VolumeTypeVolume && v.Source != "" && !declared {
			p.Volumes = maps.Clone(p.Volumes)
			if p.Volumes == nil {
				p.Volumes = types.Volumes{}
			}
			p.Volumes[v.Source] = types.VolumeConfig{Name: v.Source, External: true}
			undeclared = append(undeclared, v.Source)
		}
		s.Volumes = replaceTarget(s.Volumes, v)
	}
	if r.Entrypoint != nil {
		words, err := shellwords.Parse(*r.Entrypoint)
		if err != nil {
			return nil, compose.Invalid("", "cannot read --entrypoint %s: %v", *r.Entrypoint, err)
		}
		s.Entrypoint, s.Command = append(types.ShellCommand{}, words...), types.ShellCommand{}
	}
	if s.Environment, err = withEnvFiles(p, s.Environment, req); err != nil {
		return nil, err
	}
	p.Services[r.Service] = s
	return undeclared, nil
}

// parseVolume reads --volume; a host path is relative to where podc was called.
func parseVolume(text, dir string) (types.ServiceVolumeConfig, error) {
	v, err := compose.ParseMount(text)
	if err != nil || v.Target == "" {
		err = cmp.Or(err, errors.New("want [SOURCE:]TARGET[:MODES]"))
		return v, compose.Invalid("", "cannot read --volume %s: %v", text, err)
	}
	if v.Type == types.VolumeTypeBind && !filepath.IsAbs(v.Source) {
		v.Source = filepath.Join(dir, v.Source)
	}
	return v, nil
}

// replaceTarget adds a mount, in the place of what the file mounts there.
func replaceTarget(mounts []types.ServiceVolumeConfig, v types.ServiceVolumeConfig) []types.ServiceVolumeConfig {
	var kept []types.ServiceVolumeConfig
	for _, m := range mounts {
		if strings.TrimRight(m.Target, "/") != strings.TrimRight(v.Target, "/") {
			kept = append(kept, m)
		}
	}
	return append(kept, v)
}

// withEnvFiles adds the variables of --env-from-file to those of the file.
func withEnvFiles(p *compose.Project, vars types.MappingWithEquals, req podccompose.LoadRequest) (types.MappingWithEquals, error) {
	vars = maps.Clone(vars)
	if vars == nil {
		vars = types.MappingWithEquals{}
	}
	for _, file := range req.Run.EnvFiles {
		if !filepath.IsAbs(file) {
			file = filepath.Join(req.WorkingDir, file)
		}
		p.Inputs = append(p.Inputs, file)
		lookup := func(name string) (string, bool) {
			value, ok := p.Environment[name]
			return value, ok
		}
		got, err := compose.ReadVariables(file, lookup)
		if err != nil {
			return nil, compose.Invalid("", "cannot read --env-from-file: %v", err)
		}
		for name, value := range got {
			vars[name] = &value
		}
	}
	return vars, nil
}
