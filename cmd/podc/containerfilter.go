package main

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/dockerapi"
	"podc.example/podc/engine"
	"podc.example/podc/internal/fault"
)

// containerFilterKeys are docker's but for isolation and is-task, which are about Windows and swarms.
var containerFilterKeys = []string{"id", "name", "label", "label!", "status", "health", "network", "volume", "ancestor", "exited", "before",
	"since", "publish", "expose"}

// containerFilter returns what tells whether every filter of a list of containers holds. pods are all there are.
func (s *session) containerFilter(ctx context.Context, f filters, pods []engine.Pod) (func(engine.Pod) bool, error) {
	named, err1 := f.matches("name")
	err2 := f.among("status", "created", "restarting", "running", "removing", "paused", "exited", "dead")
	err3 := f.among("health", "starting", "healthy", "unhealthy", "none")
	exited, err4 := exitCodes(f)
	before, err5 := moments(f, "before", pods)
	since, err6 := moments(f, "since", pods)
	published, err7 := portFilter(f, "publish")
	exposed, err8 := portFilter(f, "expose")
	networks, err9 := s.networkNames(f)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9); err != nil {
		return nil, err
	}
	descends, err := s.ancestors(ctx, f["ancestor"])
	if err != nil {
		return nil, err
	}
	return func(p engine.Pod) bool {
		return named(p.Spec.Name, "/"+p.Spec.Name) && f.holds("id", func(v string) bool { return strings.HasPrefix(p.ID, v) }) &&
			f.labelled(dockerapi.LabelsOf(p)) && f.is("status", dockerapi.StatusOf(p)) && f.is("health", cmp.Or(string(p.Health), "none")) &&
			exited(p) && f.holds("network", func(v string) bool { return onNetwork(p, networks[v]) }) &&
			f.holds("volume", func(v string) bool { return hasVolume(p, v) }) && descends(p) &&
			slices.IndexFunc(before, func(t time.Time) bool { return !p.Created.Before(t) }) < 0 &&
			slices.IndexFunc(since, func(t time.Time) bool { return !p.Created.After(t) }) < 0 && published(publishedPorts(p)) && exposed(exposedPorts(p))
	}, nil
}

// exitCodes tells whether a container has ended with one of the codes asked for.
func exitCodes(f filters) (func(engine.Pod) bool, error) {
	for _, v := range f["exited"] {
		if _, err := strconv.Atoi(v); err != nil {
			return nil, usage("invalid --filter exited=%q: want an exit code", v)
		}
	}
	return func(p engine.Pod) bool {
		return len(f["exited"]) == 0 || p.Status == engine.StatusExited && p.ExitKnown && f.is("exited", strconv.Itoa(p.ExitCode))
	}, nil
}

// moments are the times at which the containers named by key were made.
func moments(f filters, key string, pods []engine.Pod) ([]time.Time, error) {
	var list []time.Time
	for _, v := range f[key] {
		i := slices.IndexFunc(pods, func(p engine.Pod) bool {
			return p.Spec.Name == strings.TrimPrefix(v, "/") || len(v) > 1 && strings.HasPrefix(p.ID, v)
		})
		if i < 0 {
			return nil, fault.New(errdefs.ErrNotFound, "no such container: %s", v)
		}
		list = append(list, pods[i].Created)
	}
	return list, nil
}

// networkNames are the names of the networks filtered by, which may be given as ids.
func (s *session) networkNames(f filters) (map[string]string, error) {
	names := map[string]string{}
	for _, v := range f["network"] {
		names[v] = v
		if v == "host" || v == "none" {
			continue
		}
		n, err := s.network(v)
		switch {
		case err == nil:
			names[v] = n.Name
		case !errdefs.IsNotFound(err):
			return nil, err
		}
	}
	return names, nil
}

func onNetwork(p engine.Pod, name string) bool {
	if name == "none" {
		return p.Spec.Network.Mode == engine.NetworkPrivate && len(p.Spec.Network.Endpoints) == 0
	}
	return slices.Contains(networksOf(p), name)
}

// hasVolume looks for a volume or a host path by name, or by where it is mounted.
func hasVolume(p engine.Pod, v string) bool {
	for target, name := range p.Volumes {
		if v == name || path.Clean(v) == path.Clean(target) {
			return true
		}
	}
	return slices.ContainsFunc(p.Spec.Container.Mounts, func(m engine.Mount) bool {
		return m.Type == engine.MountBind && (m.Source == v || path.Clean(m.Target) == path.Clean(v))
	})
}

type port struct {
	number   uint16
	protocol string
}

func publishedPorts(p engine.Pod) []port {
	var list []port
	for _, pub := range p.Ports {
		list = append(list, port{pub.HostPort, pub.Protocol})
	}
	return list
}

func exposedPorts(p engine.Pod) []port {
	var list []port
	for _, pub := range dockerapi.Ports(p) {
		list = append(list, port{pub.PrivatePort, pub.Type})
	}
	return list
}

// portFilter tells whether one of a container's ports is in one of the ranges of key.
func portFilter(f filters, key string) (func([]port) bool, error) {
	var ranges []portRange
	for _, v := range f[key] {
		r, err := parsePortRange(key, v)
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return func(ports []port) bool {
		return len(ranges) == 0 || slices.ContainsFunc(ranges, func(r portRange) bool {
			return slices.ContainsFunc(ports, func(p port) bool { return r.holds(p.number, p.protocol) })
		})
	}, nil
}

// ancestors tells whether a container's image is one of those named, or was built on one. An image that is not there is nobody's
// ancestor.
func (s *session) ancestors(ctx context.Context, refs []string) (func(engine.Pod) bool, error) {
	if len(refs) == 0 {
		return func(engine.Pod) bool { return true }, nil
	}
	images, err := imageHelper{s, func(string) {}}.Resolve(ctx, "", refs)
	if err != nil {
		return nil, err
	}
	return func(p engine.Pod) bool {
		return slices.ContainsFunc(refs, func(ref string) bool {
			img, known := images[ref]
			return p.Spec.Container.Image == ref || known && builtOn(p.Image, img)
		})
	}, nil
}

// builtOn reports whether img is base, or has its layers lowest.
func builtOn(img, base engine.Image) bool {
	over := len(img.Layers) - len(base.Layers)
	return img.ID == base.ID || over >= 0 && len(base.Layers) > 0 && slices.Equal(img.Layers[over:], base.Layers)
}
