package translate

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/project"
)

// imageName is what the image of a service is called: its own name, or that of the result of its build.
func imageName(t *translation, s types.ServiceConfig) string {
	if s.Image != "" || s.Build == nil {
		return s.Image
	}
	return t.p.Name + t.sep + s.Name
}

// build translates what the image of a service is made of, if it is made here.
func (t *translation) build(out *project.Service, key string, s types.ServiceConfig, proxies []string) error {
	if s.Build == nil {
		return nil
	}
	b := building{t, out, s, *s.Build, key + ".build"}
	out.Build = &api.Build{
		Context: b.Context, Inline: b.DockerfileInline, Target: b.Target, Pull: b.Pull, NoCache: b.NoCache, NoCacheFilter: b.NoCacheFilter,
		CacheFrom: b.CacheFrom, CacheTo: b.CacheTo, Network: b.Network, ShmSize: int64(b.ShmSize), Platforms: b.Platforms,
		Names: append([]string{imageName(t, s)}, b.Tags...), Labels: b.labels(), Entitlements: slices.Clone(b.Entitlements), Args: b.args(proxies),
	}
	if b.Privileged {
		out.Build.Entitlements = append(out.Build.Entitlements, "security.insecure")
	}
	for _, name := range slices.Sorted(maps.Keys(b.ExtraHosts)) {
		for _, addr := range b.ExtraHosts[name] {
			out.Build.ExtraHosts = append(out.Build.ExtraHosts, name+"="+addr)
		}
	}
	for _, k := range b.SSH {
		if out.Build.SSH == nil {
			out.Build.SSH = map[string]string{}
		}
		id, path, _ := strings.Cut(k.ID, "=")
		out.Build.SSH[id] = path
	}
	var limits error
	out.Build.Ulimits, limits = ulimits(b.key+".ulimits", b.Ulimits)
	return compose.Join(limits, b.dockerfile(), b.contexts(), b.secrets(), b.platforms(), b.attestations())
}

// building is the translation of one build.
type building struct {
	t       *translation
	out     *project.Service
	service types.ServiceConfig
	types.BuildConfig
	key string
}

func (b building) dockerfile() error {
	switch {
	case b.DockerfileInline != "" && b.Dockerfile != "":
		return compose.Invalid(b.key, "has both `dockerfile` and `dockerfile_inline`")
	case b.DockerfileInline == "" && api.RemoteContext(b.Context):
		b.out.Build.Dockerfile = b.Dockerfile
	case b.DockerfileInline == "":
		path := cmp.Or(b.Dockerfile, "Dockerfile")
		if !filepath.IsAbs(path) {
			path = filepath.Join(b.Context, path)
		}
		b.out.Build.Dockerfile = path
	}
	return nil
}

// args are the arguments; those without a value have that of the environment, or are left out.
func (b building) args(proxies []string) map[string]string {
	out := map[string]string{}
	for _, kv := range proxies {
		k, v, _ := strings.Cut(kv, "=")
		out[k] = v
	}
	for k, v := range b.Args {
		if v != nil {
			out[k] = *v
		} else if value, ok := b.t.p.Environment[k]; ok {
			out[k] = value
		}
	}
	return out
}

// labels are those of the result, as docker compose has them.
func (b building) labels() map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, b.Labels)
	labels[project.LabelProject], labels[project.LabelService], labels[project.LabelVersion] = b.t.p.Name, b.service.Name, b.t.opt.Version
	return labels
}

// contexts translates further contexts. service:x is the image of x, which then is made first.
func (b building) contexts() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(b.AdditionalContexts)) {
		source := b.AdditionalContexts[name]
		if service, ok := strings.CutPrefix(source, types.ServicePrefix); ok {
			other, known := b.t.p.Services[service]
			if !known {
				other = b.t.p.DisabledServices[service]
			}
			if other.Build == nil {
				errs = append(errs, compose.Invalid(b.key+".additional_contexts."+name, "service %q has no `build`", service))
				continue
			}
			source = api.ImageContext + imageName(b.t, other)
			b.out.BuildAfter = append(b.out.BuildAfter, service)
		}
		if b.out.Build.Contexts == nil {
			b.out.Build.Contexts = map[string]string{}
		}
		b.out.Build.Contexts[name] = source
	}
	return compose.Join(errs...)
}

func (b building) secrets() error {
	var errs []error
	for i, ref := range b.Secrets {
		at := fmt.Sprintf("%s.secrets[%d]", b.key, i)
		object, ok := b.t.p.Secrets[ref.Source]
		secret := api.BuildSecret{ID: cmp.Or(ref.Target, ref.Source), File: object.File, Env: object.Environment}
		switch {
		case !ok:
			errs = append(errs, compose.Invalid(at, "secret %q is not defined", ref.Source))
		case bool(object.External):
			errs = append(errs, compose.NotServed(at, "an external secret", "give a file or a variable of the environment"))
		case secret.File == "" && secret.Env == "":
			errs = append(errs, compose.Invalid(at, "secret %q has neither `file` nor `environment`", ref.Source))
		}
		b.out.Build.Secrets = append(b.out.Build.Secrets, secret)
	}
	return compose.Join(errs...)
}

// platforms accepts the host's only.
func (b building) platforms() error {
	switch len(b.Platforms) {
	case 0:
		return nil
	case 1:
		return onThisHost(b.key+".platforms", b.Platforms[0])
	}
	return compose.NotServed(b.key+".platforms", "more than one platform", "")
}

// attestations refuses what the image store cannot keep.
func (b building) attestations() error {
	var errs []error
	for name, value := range map[string]string{"provenance": b.Provenance, "sbom": b.SBOM} {
		if value != "" && value != "false" {
			errs = append(errs, compose.NotServed(b.key+"."+name, fmt.Sprintf("%q", value), "the image store keeps no attestations; leave it out"))
		}
	}
	return compose.Join(errs...)
}
