// Package translate turns a loaded compose project into project.Desired. It is pure but for reading the files behind configs
// and secrets, and deterministic: the same project gives the same Desired, byte for byte.
//
// It runs in podc-compose, since package compose links compose-go, which the other binaries must not pay for.
package translate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/project"
)

// Options say what the compose files do not.
type Options struct {
	Key           []byte         // makes the digests of values that may be secret
	Version       string         // of podc, for the version label
	Store         string         // data root of external secrets and configs
	Scale         map[string]int // replicas by service
	Compatibility bool           // "_" rather than "-" between the parts of names
	Existing      bool           // as in podccompose.LoadRequest
}

// Result is a translated project.
type Result struct {
	Desired *project.Desired
	// Contents are the bytes of configs and secrets without a file of their own, by project.ContentKey. They may be secret;
	// Desired holds no more of them than keyed digests.
	Contents map[string][]byte
	// Inputs are files that were read beside those of the loader.
	Inputs []string
}

// translation is the state of one Translate.
type translation struct {
	p   *compose.Project
	opt Options
	res *Result
	key digestKey
	sep string
	// replicas of the services so far, and the ports that they publish
	replicas, published int
}

// Translate returns what p should be. Errors carry key paths; compose.Project.Located adds files and lines.
func Translate(p *compose.Project, opt Options) (*Result, error) {
	t := &translation{p: p, opt: opt, key: opt.Key, sep: "-", res: &Result{
		Contents: map[string][]byte{},
		Desired: &project.Desired{Name: p.Name, WorkingDir: p.WorkingDir, ConfigFiles: p.ComposeFiles,
			Disabled: p.DisabledServiceNames(), Warnings: p.Warnings},
	}}
	if opt.Compatibility {
		t.sep = "_"
	}
	err := compose.Join(t.scale(), t.networks(), t.volumes(), t.services())
	if !opt.Existing {
		err = compose.Join(err, t.conflicts())
	}
	if err != nil {
		return nil, p.Located(err)
	}
	return t.res, nil
}

func (t *translation) warn(key, format string, args ...any) {
	file, line := t.p.Locate(key)
	t.res.Desired.Warnings = append(t.res.Desired.Warnings,
		compose.Problem{File: file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)}.String())
}

// scale checks that services are scaled which there are.
func (t *translation) scale() error {
	for _, name := range slices.Sorted(maps.Keys(t.opt.Scale)) {
		if _, ok := t.p.Services[name]; !ok {
			return compose.Invalid("", "no such service: %s", name)
		}
		if n := t.opt.Scale[name]; n < 0 || n > compose.MaxReplicas {
			return compose.Invalid("", "cannot scale %q to %d: between 0 and %d are possible", name, n, compose.MaxReplicas)
		}
	}
	return nil
}

func (t *translation) services() error {
	var errs []error
	proxies := t.proxies()
	for _, name := range t.p.Order {
		s, err := t.service(t.p.Services[name], proxies)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		addProxies(&s.Pod.Container, proxies, t.p.Services[name].Environment)
		t.res.Desired.Services = append(t.res.Desired.Services, *s)
	}
	return compose.Join(errs...)
}

// service makes the template of a service's replicas.
func (t *translation) service(s types.ServiceConfig, proxies []string) (*project.Service, error) {
	key := "services." + s.Name
	out := &project.Service{
		Name:      s.Name,
		Replicas:  s.GetScale(),
		Attach:    s.Attach == nil || *s.Attach,
		FixedName: s.ContainerName != "",
		DependsOn: dependencies(s),
		Pod: api.PodSpec{
			Name:       t.p.Name + t.sep + s.Name,
			Group:      t.p.Name,
			Hostname:   s.Hostname,
			Domainname: s.DomainName,
			Labels:     t.labels(s),
		},
	}
	if out.FixedName {
		out.Pod.Name = s.ContainerName
	}
	if n, ok := t.opt.Scale[s.Name]; ok {
		out.Replicas = n
	}
	if t.replicas += out.Replicas; t.replicas > compose.MaxReplicas {
		return nil, compose.Invalid(key+".scale", "%d replicas: the services of a project have %d together at most", out.Replicas, compose.MaxReplicas)
	}
	if out.FixedName && out.Replicas > 1 {
		return nil, compose.Invalid(key+".container_name", "%d replicas cannot share one name", out.Replicas)
	}
	digests := map[string]string{}
	err := compose.Join(t.pull(out, key, s), t.build(out, key, s, proxies), t.pod(out, key, s, digests), t.hooks(&out.Pod.Container, key, s), t.preStart(out, key, s, digests))
	if err != nil {
		return nil, err
	}
	if t.published += out.Replicas * len(out.Pod.Network.Ports); t.published > compose.MaxPublished {
		return nil, compose.Invalid(key+".ports", "%d replicas with %d ports each: the services of a project publish %d ports together at most",
			out.Replicas, len(out.Pod.Network.Ports), compose.MaxPublished)
	}
	t.key.fingerprint(out, t.res.Desired.Networks, digests)
	return out, nil
}

// pod translates what a container is, be it that of a replica or of a hook.
func (t *translation) pod(out *project.Service, key string, s types.ServiceConfig, digests map[string]string) error {
	return compose.Join(
		t.network(out, key, s),
		t.namespaces(&out.Pod, key, s),
		volumesFrom(&out.Pod.Container, key+".volumes_from", s.VolumesFrom),
		t.container(&out.Pod.Container, key, s),
		t.security(&out.Pod.Container, key, s, digests),
		t.mounts(&out.Pod.Container, key, s),
		t.files(&out.Pod.Container, strings.TrimPrefix(key, "services."), s, digests),
	)
}

// dependencies are the edges of the service graph, by name.
func dependencies(s types.ServiceConfig) []project.Dependency {
	conditions := map[string]api.Condition{
		types.ServiceConditionHealthy:               api.Healthy,
		types.ServiceConditionCompletedSuccessfully: api.Completed,
	}
	var deps []project.Dependency
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[name]
		deps = append(deps, project.Dependency{Service: name, Condition: cmp.Or(conditions[d.Condition], api.Started), Restart: d.Restart, Required: d.Required})
	}
	return deps
}

// pull settles when the image is fetched.
func (t *translation) pull(out *project.Service, key string, s types.ServiceConfig) error {
	switch at := key + ".pull_policy"; s.PullPolicy {
	case "":
		out.Pull = project.PullMissing
		if s.Build != nil { // its name is that of a result: what a registry has under it is a stranger's
			out.Pull = project.BuildMissing
		}
	case types.PullPolicyMissing, types.PullPolicyIfNotPresent:
		out.Pull = project.PullMissing
	case types.PullPolicyNever:
		out.Pull = project.PullNever
	case types.PullPolicyAlways:
		out.Pull = project.PullAlways
	case types.PullPolicyBuild:
		if s.Build == nil {
			return compose.Invalid(at, "there is no `build` to make the image of")
		}
		out.Pull = project.PullBuild
	default:
		if _, _, err := s.GetPullPolicy(); err != nil {
			return compose.Invalid(at, "%q is none of always, missing, never", s.PullPolicy)
		}
		return compose.NotServed(at, fmt.Sprintf("%q", s.PullPolicy), "use always, or missing and `podc image pull`")
	}
	return t.platform(key, s)
}

// labels are those that the pod has from the start: the user's, and the project's but for number, image, hash and depends_on.
func (t *translation) labels(s types.ServiceConfig) map[string]string {
	labels := maps.Clone(map[string]string(s.Labels))
	if labels == nil {
		labels = map[string]string{}
	}
	labels[project.LabelProject] = t.p.Name
	labels[project.LabelService] = s.Name
	labels[project.LabelVersion] = t.opt.Version
	labels[project.LabelWorkingDir] = t.p.WorkingDir
	labels[project.LabelConfigFiles] = strings.Join(t.p.ComposeFiles, ",")
	labels[project.LabelOneoff] = "False"
	if len(t.p.EnvFiles) > 0 {
		labels[project.LabelEnvFile] = strings.Join(t.p.EnvFiles, ",")
	}
	return labels
}
