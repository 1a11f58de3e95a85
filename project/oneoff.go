package project

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// OneOff is one more container of a service, beside its replicas: what `run` makes. Zero values leave what the service says.
type OneOff struct {
	Service string
	Pod     string // its name
	Slug    string // tells it from others, for LabelSlug

	Command    []string // nil: the service's
	Env        []string // K=V
	Labels     map[string]string
	User       string
	WorkingDir string
	CapAdd     []string
	CapDrop    []string
	TTY        bool
	Stdin      bool
	StdinOnce  bool
	AutoRemove bool
	UseAliases bool // answers to the names of the service
}

// of makes the service whose one replica is the one-off, with the dependencies of s or alone.
func (r OneOff) of(s Service, alone bool) Service {
	s.FixedName, s.Replicas, s.Facets = true, 1, nil
	pod := &s.Pod
	pod.Name, pod.AutoRemove = r.Pod, r.AutoRemove
	pod.Labels = maps.Clone(pod.Labels)
	maps.Copy(pod.Labels, r.Labels)
	pod.Labels[LabelOneoff], pod.Labels[LabelSlug] = "True", r.Slug
	if alone {
		s.DependsOn = nil
	}
	c := &pod.Container
	c.Restart, c.PostStart, c.PreStop, s.PreStart = api.RestartPolicy{}, nil, nil, nil
	c.TTY, c.StdinOpen, c.StdinOnce = r.TTY, r.Stdin, r.StdinOnce
	if r.Command != nil {
		c.Command = r.Command
	}
	c.Env = slices.Concat(c.Env, r.Env)
	c.User, c.WorkingDir = cmp.Or(r.User, c.User), cmp.Or(r.WorkingDir, c.WorkingDir)
	c.CapAdd, c.CapDrop = slices.Concat(c.CapAdd, r.CapAdd), slices.Concat(c.CapDrop, r.CapDrop)
	if !r.UseAliases {
		Unname(pod)
	}
	return s
}

// Unname takes away what the replicas of a service are known by, fixed addresses included: only one pod can have these.
func Unname(pod *api.PodSpec) {
	pod.Network.Unnamed = pod.Hostname != ""
	pod.Network.Endpoints = slices.Clone(pod.Network.Endpoints)
	for i := range pod.Network.Endpoints {
		e := &pod.Network.Endpoints[i]
		e.Aliases, e.MAC, e.IPv4, e.IPv6, e.LinkLocal = nil, "", netip.Addr{}, netip.Addr{}, nil
	}
}

// addNew plans the one-off that the options ask for. The replicas of its service are left alone.
func (p *planner) addNew(r *OneOff) {
	if r == nil {
		return
	}
	of := p.byName[r.Service]
	if of == nil || !of.model {
		p.fail(errdefs.ErrNotFound, "no such service: %s", r.Service)
		return
	}
	of.policy = leave
	p.units = append(p.units, &unit{Service: r.of(of.Service, p.opt.NoDeps), model: true, policy: keep, fresh: true})
}
