package local

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

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/fault"
)

// filter returns what tells whether every filter of a list of containers holds. pods are all there are.
func (c containers) filter(ctx context.Context, f control.Filters, pods []api.Pod) (func(api.Pod) bool, error) {
	if err := f.Only(control.ContainerFilters...); err != nil {
		return nil, err
	}
	named, err1 := f.Matches("name")
	err2 := f.Among("status", "created", "restarting", "running", "removing", "paused", "exited", "dead")
	err3 := f.Among("health", "starting", "healthy", "unhealthy", "none")
	exited, err4 := exitCodes(f)
	before, err5 := moments(f, "before", pods)
	since, err6 := moments(f, "since", pods)
	published, err7 := portFilter(f, "publish", func(p api.Port) (uint16, string) { return p.HostPort, p.Protocol })
	exposed, err8 := portFilter(f, "expose", func(p dockerapi.PortSummary) (uint16, string) { return p.PrivatePort, p.Type })
	networks, err9 := c.networkNames(ctx, f)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9); err != nil {
		return nil, err
	}
	descends, err := c.ancestors(ctx, f["ancestor"])
	if err != nil {
		return nil, err
	}
	return func(p api.Pod) bool {
		return named(p.Spec.Name, "/"+p.Spec.Name) && f.Holds("id", func(v string) bool { return strings.HasPrefix(p.ID, v) }) &&
			f.Labelled(dockerapi.LabelsOf(p)) && f.Is("status", dockerapi.StatusOf(p)) && f.Is("health", cmp.Or(string(p.Health), "none")) &&
			exited(p) && f.Holds("network", func(v string) bool { return onNetwork(p, networks[v]) }) &&
			f.Holds("volume", func(v string) bool { return hasVolume(p, v) }) && descends(p) &&
			slices.IndexFunc(before, func(t time.Time) bool { return !p.Created.Before(t) }) < 0 &&
			slices.IndexFunc(since, func(t time.Time) bool { return !p.Created.After(t) }) < 0 && published(p.Ports) && exposed(dockerapi.Ports(p))
	}, nil
}

// exitCodes tells whether a container has ended with one of the codes asked for.
func exitCodes(f control.Filters) (func(api.Pod) bool, error) {
	for _, v := range f["exited"] {
		if _, err := strconv.Atoi(v); err != nil {
			return nil, fault.Invalid("invalid --filter exited=%q: want an exit code", v)
		}
	}
	return func(p api.Pod) bool {
		return len(f["exited"]) == 0 || p.Status == api.StatusExited && p.ExitKnown && f.Is("exited", strconv.Itoa(p.ExitCode))
	}, nil
}

// moments are the times at which the containers named by key were made.
func moments(f control.Filters, key string, pods []api.Pod) ([]time.Time, error) {
	var list []time.Time
	for _, v := range f[key] {
		i := slices.IndexFunc(pods, func(p api.Pod) bool {
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
func (c containers) networkNames(ctx context.Context, f control.Filters) (map[string]string, error) {
	names := map[string]string{}
	for _, v := range f["network"] {
		names[v] = v
		if v == "host" || v == "none" {
			continue
		}
		n, err := c.networks.Get(ctx, v)
		switch {
		case err == nil:
			names[v] = n.Name
		case !errdefs.IsNotFound(err):
			return nil, err
		}
	}
	return names, nil
}

func onNetwork(p api.Pod, name string) bool {
	if name == "none" {
		return p.Spec.Network.Mode == api.NetworkPrivate && len(p.Spec.Network.Endpoints) == 0
	}
	return slices.Contains(dockerapi.NetworksOf(p), name)
}

// hasVolume looks for a volume or a host path by name, or by where it is mounted.
func hasVolume(p api.Pod, v string) bool {
	for target, name := range p.Volumes {
		if v == name || path.Clean(v) == path.Clean(target) {
			return true
		}
	}
	return slices.ContainsFunc(p.Spec.Container.Mounts, func(m api.Mount) bool {
		return m.Type == api.MountBind && (m.Source == v || path.Clean(m.Target) == path.Clean(v))
	})
}

// portFilter tells whether one of a container's ports, whose number and protocol of tells, is in one of the ranges of key.
func portFilter[P any](f control.Filters, key string, of func(P) (uint16, string)) (func([]P) bool, error) {
	var ranges []portRange
	for _, v := range f[key] {
		r, err := parsePortRange(key, v)
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return func(ports []P) bool {
		return len(ranges) == 0 || slices.ContainsFunc(ranges, func(r portRange) bool {
			return slices.ContainsFunc(ports, func(p P) bool { return r.holds(of(p)) })
		})
	}, nil
}

// ancestors tells whether a container's image is one of those named, or was built on one. An image that is not there is nobody's
// ancestor.
func (c containers) ancestors(ctx context.Context, refs []string) (func(api.Pod) bool, error) {
	if len(refs) == 0 {
		return func(api.Pod) bool { return true }, nil
	}
	images, err := c.images.Resolve(ctx, "", refs)
	if err != nil {
		return nil, err
	}
	return func(p api.Pod) bool {
		return slices.ContainsFunc(refs, func(ref string) bool {
			img, known := images[ref]
			return p.Spec.Container.Image == ref || known && builtOn(p.Image, img)
		})
	}, nil
}

// builtOn reports whether img is base, or has its layers lowest.
func builtOn(img, base api.Image) bool {
	over := len(img.Layers) - len(base.Layers)
	return img.ID == base.ID || over >= 0 && len(base.Layers) > 0 && slices.Equal(img.Layers[over:], base.Layers)
}

// portRange is a filter on ports: "80", "80/udp", "8000-8010/tcp".
type portRange struct {
	first, last uint64
	protocol    string
}

func parsePortRange(key, s string) (portRange, error) {
	numbers, protocol, _ := strings.Cut(s, "/")
	from, to, isRange := strings.Cut(numbers, "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || last < first {
		return portRange{}, fault.Invalid("invalid --filter %s=%q: want a port or a range of ports, such as 8000-8010/tcp", key, s)
	}
	return portRange{first, last, cmp.Or(protocol, "tcp")}, nil
}

func (r portRange) holds(port uint16, protocol string) bool {
	return r.protocol == protocol && r.first <= uint64(port) && uint64(port) <= r.last
}
