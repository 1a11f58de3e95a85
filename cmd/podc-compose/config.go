package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"podc.example/podc/compose"
	"podc.example/podc/internal/podccompose"
)

// config runs `podc config`.
func config(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	f, err := parseFlags(args, podccompose.ConfigFlags())
	if err != nil {
		return err
	}
	if err := checkConfig(f); err != nil {
		return err
	}
	opt, err := configOptions(f, stdin)
	if err != nil {
		return err
	}
	warned := captureWarnings()
	out, warnings, err := output(ctx, opt, f)
	for _, w := range once(append(warned(), warnings...)) {
		fmt.Fprintln(stderr, "warning:", w)
	}
	if err != nil || f.is("quiet") && !f.is("services") && !f.is("volumes") && !f.is("networks") && !f.is("models") && !f.is("profiles") && !f.is("images") {
		return err
	}
	name := f.last("output")
	if name == "" {
		_, err = stdout.Write(out)
		return err
	}
	if err := os.WriteFile(name, out, 0o666); err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	return nil
}

func checkConfig(f *flagSet) error {
	for _, name := range []string{"resolve-image-digests", "lock-image-digests"} {
		if f.is(name) {
			return compose.NotServed("", "--"+name, "")
		}
	}
	if format := f.last("format"); format != "" && format != "yaml" && format != "json" {
		return fmt.Errorf("unknown format %q: yaml and json are possible", format)
	}
	if f.is("no-interpolate") && f.last("hash") != "" {
		return errors.New("--hash needs variables, which --no-interpolate keeps out")
	}
	return nil
}

func configOptions(f *flagSet, stdin io.Reader) (compose.Options, error) {
	opt := compose.Options{
		Files: f.values["file"], ProjectName: f.last("project-name"), ProjectDir: f.last("project-directory"),
		Profiles: f.values["profile"], EnvFiles: f.values["env-file"], AllResources: f.is("all-resources"), Services: f.services,
		Lenient: true, Shown: true,
		NoInterpolate: f.is("no-interpolate") || f.is("variables"), NoNormalize: f.is("no-normalize") || f.is("compatibility") || truthy(os.Getenv("COMPOSE_COMPATIBILITY")),
		NoConsistency: f.is("no-consistency"), NoPathResolution: f.is("no-path-resolution"),
		NoEnvResolution: f.is("no-env-resolution"),
	}
	if opt.NoInterpolate {
		opt.Services = nil // which output says
	}
	if f.is("profiles") || f.is("environment") || f.is("variables") {
		opt.Profiles = append(opt.Profiles, "*")
	}
	opt.AllResources = opt.AllResources || f.is("variables")
	if slices.Contains(opt.Files, "-") || (len(opt.Files) == 0 && os.Getenv("COMPOSE_FILE") == "-") {
		b, err := io.ReadAll(io.LimitReader(stdin, compose.MaxFile+1))
		if err != nil {
			return opt, fmt.Errorf("cannot read standard input: %w", err)
		}
		if len(b) > compose.MaxFile {
			return opt, fmt.Errorf("standard input is larger than %d MiB", compose.MaxFile>>20)
		}
		opt.Stdin = b
	}
	return opt, nil
}

// output makes what the flags ask for.
func output(ctx context.Context, opt compose.Options, f *flagSet) ([]byte, []string, error) {
	if opt.NoInterpolate {
		m, warnings, err := compose.Model(ctx, opt)
		if err != nil {
			return nil, warnings, err
		}
		if len(f.services) > 0 {
			warnings = append(warnings, unfiltered(f))
		}
		out, err := raw(m, f)
		return out, warnings, err
	}
	p, err := compose.Load(ctx, opt)
	if err != nil {
		return nil, p.Warnings, err
	}
	out, err := render(p, f)
	return out, p.Warnings, err
}

// raw shows a model whose variables are kept.
func raw(m map[string]any, f *flagSet) ([]byte, error) {
	for _, key := range []string{"services", "volumes", "networks"} {
		if f.is(key) {
			return lines(slices.Sorted(maps.Keys(section(m, key)))), nil
		}
	}
	switch {
	case f.is("models"):
		return lines(texts(section(m, "models"), "model")), nil
	case f.is("images"):
		return lines(texts(section(m, "services"), "image")), nil
	case f.is("variables"):
		return variables(m, f.last("format"))
	case f.is("profiles"), f.is("environment"):
		return nil, errors.New("--no-interpolate shows the model, or names of its parts")
	case f.last("format") == "json":
		b, err := json.MarshalIndent(m, "", "  ")
		return append(b, '\n'), err
	}
	return asYAML(m, 2)
}

// unfiltered warns that services were named and do not matter.
func unfiltered(f *flagSet) string {
	if f.is("variables") {
		return "service filtering is not applied when --variables is set, variables from the full model will be rendered"
	}
	return "service filtering is not applied when --no-interpolate is set, the full model will be rendered"
}

func section(m map[string]any, key string) map[string]any {
	s, _ := m[key].(map[string]any)
	return s
}

// texts are the values that the entries of a section have for key, in the order of their names.
func texts(section map[string]any, key string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(section)) {
		entry, _ := section[name].(map[string]any)
		if text, ok := entry[key].(string); ok {
			list = append(list, text)
		}
	}
	return list
}

// asYAML writes v as docker compose does.
func asYAML(v any, indent int) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(indent)
	err := e.Encode(v)
	return b.Bytes(), err
}

// render shows what the flags ask for of a loaded project.
func render(p *compose.Project, f *flagSet) ([]byte, error) {
	switch {
	case f.is("services"):
		return lines(p.Order), nil
	case f.is("volumes"):
		return lines(p.VolumeNames()), nil
	case f.is("networks"):
		return lines(p.NetworkNames()), nil
	case f.is("models"):
		var list []string
		for _, name := range slices.Sorted(slices.Values(p.ModelNames())) {
			list = append(list, p.Models[name].Model)
		}
		return lines(list), nil
	case f.is("profiles"):
		return lines(slices.Sorted(slices.Values(p.AllServices().GetProfiles()))), nil
	case f.is("images"):
		return lines(images(p)), nil
	case f.is("environment"):
		return lines(p.Environment.Values()), nil
	case f.last("hash") != "":
		return hashes(p, f)
	}
	return model(p, f)
}

// model prints the whole project, so that it can be read again.
func model(p *compose.Project, f *flagSet) ([]byte, error) {
	marshal := func() ([]byte, error) { return p.MarshalYAML() }
	if f.last("format") == "json" {
		marshal = func() ([]byte, error) {
			b, err := p.MarshalJSON()
			return append(b, '\n'), err
		}
	}
	b, err := marshal()
	if err != nil {
		return nil, fmt.Errorf("cannot print the model: %w", err)
	}
	return bytes.ReplaceAll(b, []byte("$"), []byte("$$")), nil
}

func images(p *compose.Project) []string {
	var list []string
	for _, name := range p.Order {
		image := p.Services[name].Image
		if image == "" {
			image = p.Name + "-" + name
		}
		list = append(list, image)
	}
	return list
}

func lines(list []string) []byte {
	if len(list) == 0 {
		return nil
	}
	return []byte(strings.Join(list, "\n") + "\n")
}
