package compose

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"

	"podc.example/podc/internal/valid"
)

// check finds everything that is wrong between the parts of the model and with single values, and orders the services.
func (l *load) check(p *Project) error {
	if l.opt.NoConsistency || l.opt.NoInterpolate || l.opt.NoNormalize {
		p.Order = p.ServiceNames()
		return nil
	}
	c := &checker{load: l, p: p.Project}
	c.names()
	for _, name := range p.ServiceNames() {
		c.service(name, p.Services[name])
	}
	c.containerNames()
	c.networks()
	c.fileObjects()
	slices.SortStableFunc(c.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if err := Join(c.errs...); err != nil {
		return err
	}
	var err error
	p.Order, err = order(p.Services)
	return err
}

// checker collects what is wrong with a project.
type checker struct {
	*load
	p    *types.Project
	errs []error
}

func (c *checker) fail(key, format string, args ...any) *Error {
	e := Invalid(key, format, args...)
	c.errs = append(c.errs, e)
	return e
}

// unusable is fail for a value that can be shown all the same.
func (c *checker) unusable(key, format string, args ...any) {
	if c.opt.Shown {
		c.warnKey(key, format+"; `up` refuses it", args...)
		return
	}
	c.fail(key, format, args...)
}

// maxName is the longest name of a project, service, network or volume: names of pods join two of them and become file names.
const maxName = 100

func (c *checker) length(key, name string) {
	if len(name) > maxName {
		c.fail(key, "the name %.20q... is longer than %d characters", name, maxName)
	}
}

func (c *checker) name(key, name string) {
	if c.length(key, name); !valid.IsName(name) {
		c.unusable(key, "the name %q: only letters, digits, \"_\", \".\" and \"-\" are allowed, and a letter or digit comes first", name)
	}
}

func (c *checker) names() {
	c.name("name", c.p.Name)
	for _, n := range c.p.NetworkNames() {
		c.name("networks."+n, c.p.Networks[n].Name)
	}
	for _, n := range c.p.VolumeNames() {
		c.name("volumes."+n, c.p.Volumes[n].Name)
	}
}

func (c *checker) service(name string, s types.ServiceConfig) {
	key := "services." + name
	c.length(key, name)
	c.image(key, s)
	c.container(key, s)
	c.replicas(key, s)
	for i, h := range s.PreStart {
		at := fmt.Sprintf("%s.pre_start[%d]", key, i)
		c.image(at, types.ServiceConfig{ContainerSpec: h.ContainerSpec})
		c.container(at, types.ServiceConfig{Name: name, ContainerSpec: h.ContainerSpec})
	}
	for i, h := range s.PostStart {
		c.process(fmt.Sprintf("%s.post_start[%d]", key, i), h.Environment, h.WorkingDir, h.User)
	}
	for i, h := range s.PreStop {
		c.process(fmt.Sprintf("%s.pre_stop[%d]", key, i), h.Environment, h.WorkingDir, h.User)
	}
}

// container checks what a service and its pre_start hooks have in common.
func (c *checker) container(key string, s types.ServiceConfig) {
	c.references(key, s)
	c.exclusive(key, s)
	c.values(key, s)
}

// image insists on an image, or on what one is made of.
func (c *checker) image(key string, s types.ServiceConfig) {
	if s.Build == nil && s.Image == "" && s.Provider == nil {
		c.fail(key, "has neither `image` nor `build`")
	}
	if _, err := reference.ParseDockerRef(s.Image); s.Image != "" && err != nil && !isImageID(s.Image) {
		c.unusable(key+".image", "%q is no image reference", s.Image)
	}
	if s.Build != nil && s.Platform != "" && len(s.Build.Platforms) > 0 && !slices.Contains(s.Build.Platforms, s.Platform) {
		c.fail(key+".build.platforms", "must include %q, the platform of the service", s.Platform)
	}
}

// isImageID reports whether ref is a whole id, which the grammar of references leaves to others.
func isImageID(ref string) bool {
	return len(ref) == 64 && strings.Trim(ref, "0123456789abcdef") == ""
}

// references checks that what a service names exists.
func (c *checker) references(key string, s types.ServiceConfig) {
	for _, n := range slices.Sorted(maps.Keys(s.Networks)) {
		if _, ok := c.p.Networks[n]; !ok {
			c.undefined(key+".networks", "network", n, c.p.NetworkNames())
		}
	}
	for i, v := range s.Volumes {
		if _, ok := c.p.Volumes[v.Source]; !ok && v.Type == types.VolumeTypeVolume && v.Source != "" {
			c.undefined(fmt.Sprintf("%s.volumes[%d]", key, i), "volume", v.Source, c.p.VolumeNames())
		}
	}
	for i, f := range s.Configs {
		if _, ok := c.p.Configs[f.Source]; !ok {
			c.undefined(fmt.Sprintf("%s.configs[%d]", key, i), "config", f.Source, c.p.ConfigNames())
		}
	}
	for i, f := range s.Secrets {
		if _, ok := c.p.Secrets[f.Source]; !ok {
			c.undefined(fmt.Sprintf("%s.secrets[%d]", key, i), "secret", f.Source, c.p.SecretNames())
		}
	}
}

func (c *checker) undefined(key, kind, name string, known []string) {
	c.fail(key, "%s %q is not declared", kind, name).WithHint("declare it under the top-level key `%ss`", kind).Suggesting(name, known)
}

func (c *checker) replicas(key string, s types.ServiceConfig) {
	if s.Scale != nil && s.Deploy != nil && s.Deploy.Replicas != nil && *s.Scale != *s.Deploy.Replicas {
		c.fail(key+".scale", "is %d, but deploy.replicas is %d", *s.Scale, *s.Deploy.Replicas).WithHint("keep one of them")
	}
	if n := s.GetScale(); n < 0 || n > MaxReplicas {
		c.fail(key+".scale", "%d replicas: between 0 and %d are possible", n, MaxReplicas)
	} else if n > 1 && s.ContainerName != "" {
		c.fail(key+".container_name", "%d replicas cannot share one name", n).WithHint("remove container_name")
	}
	if s.ContainerName != "" {
		c.name(key+".container_name", s.ContainerName)
	}
}

// exclusive checks keys that exclude each other, or that say the same thing twice.
func (c *checker) exclusive(key string, s types.ServiceConfig) {
	if s.NetworkMode != "" && len(s.Networks) > 0 {
		c.fail(key+".network_mode", "excludes `networks`").WithHint("remove one of them")
	}
	for _, shared := range []struct{ name, value string }{{"network_mode", s.NetworkMode}, {"pid", s.Pid}, {"ipc", s.Ipc}, {"uts", s.Uts}} {
		if of, ok := strings.CutPrefix(shared.value, types.ServicePrefix); ok {
			c.lender(key+"."+shared.name, s.Name, of, "share its own "+strings.TrimSuffix(shared.name, "_mode"))
		}
	}
	for i, from := range s.VolumesFrom {
		if of, _, _ := strings.Cut(from, ":"); !strings.HasPrefix(from, types.ContainerPrefix) {
			c.lender(fmt.Sprintf("%s.volumes_from[%d]", key, i), s.Name, of, "have volumes from itself")
		}
	}
	if s.Deploy == nil {
		return
	}
	if l := s.Deploy.Resources.Limits; l != nil {
		c.twice(key, "cpus", float64(s.CPUS), "deploy.resources.limits.cpus", float64(l.NanoCPUs))
		c.twice(key, "mem_limit", float64(s.MemLimit), "deploy.resources.limits.memory", float64(l.MemoryBytes))
		c.twice(key, "pids_limit", float64(s.PidsLimit), "deploy.resources.limits.pids", float64(l.Pids))
	}
	if r := s.Deploy.Resources.Reservations; r != nil {
		c.twice(key, "mem_reservation", float64(s.MemReservation), "deploy.resources.reservations.memory", float64(r.MemoryBytes))
	}
}

// lender checks that the service named is there to borrow from.
func (c *checker) lender(key, service, of, act string) {
	_, exists := c.p.AllServices()[of]
	if of == service {
		c.fail(key, "a service cannot %s", act)
	} else if !exists {
		c.undefined(key, "service", of, c.p.ServiceNames())
	}
}

func (c *checker) twice(key, a string, av float64, b string, bv float64) {
	if av != 0 && bv != 0 && av != bv {
		c.fail(key+"."+a, "is %s, but %s is %s", plain(av), b, plain(bv)).WithHint("keep one of them")
	}
}

// plain prints numbers that came of a float32 without noise, and whole ones in full.
func plain(v float64) string {
	if v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 32)
}

func (c *checker) containerNames() {
	owner := map[string]string{}
	for _, name := range c.p.ServiceNames() {
		cn := c.p.Services[name].ContainerName
		if cn == "" {
			continue
		}
		if other, taken := owner[cn]; taken {
			c.fail("services."+name+".container_name", "%q is the name of service %q too", cn, other)
		}
		owner[cn] = name
	}
}

// networks refuses names that mean something else to docker.
func (c *checker) networks() {
	for _, n := range c.p.NetworkNames() {
		switch name := c.p.Networks[n].Name; name {
		case "host", "none":
			c.fail("networks."+n, "%q is no network", name).WithHint("use `network_mode: %s` in the service", name)
		}
	}
}

func (c *checker) fileObjects() {
	for name, cfg := range c.p.Configs {
		c.fileObject("configs."+name, types.FileObjectConfig(cfg))
	}
	for name, s := range c.p.Secrets {
		c.fileObject("secrets."+name, types.FileObjectConfig(s))
	}
}

// fileObject checks that the source of a config or secret can be had.
func (c *checker) fileObject(key string, f types.FileObjectConfig) {
	_, set := c.env[f.Environment]
	switch {
	case bool(f.External) && (f.File != "" || f.Environment != "" || f.Content != ""):
		c.fail(key+".external", "excludes every other source").WithHint("remove one of them")
	case f.Environment == "" || set || f.Content != "": // which it has from the environment of an included file
	case c.opt.Lenient:
		c.warnKey(key+".environment", "variable %s is not set", f.Environment)
	default:
		c.errs = append(c.errs, notFound(key+".environment", "variable %s is not set", f.Environment))
	}
}
