package project

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"podc.example/podc/api"
)

// The golden files describe wishes and what is there in lines such as
//
//	network NAME [hash=H] [external]
//	volume NAME [hash=H] [external] [anonymous] [project=P]
//	service NAME [image=REF] [hash=H] [replicas=N] [networks=A,B] [volumes=V:/target,:/anonymous] [ports=8080:80,...]
//	        [needs=SERVICE:CONDITION[:restart][:optional],...] [of=SERVICE] [pid=SERVICE] [from=SERVICE,...] [mounts=IMAGE[:ID],...] [hooks=IMAGE,...] [name=FIXED] [pull=POLICY] [health] [facets=K:V,...] [build]
//	disabled NAME
//	pod SERVICE N [status=S] [code=N] [health=H] [image=ID] [name=NAME] and what services have
//	image REF ID [volumes=/a,/b] [health]
//
// so that a test fits on a screen. Hashes are "h" and images "app" unless said otherwise.
type line struct {
	t      *testing.T
	words  []string
	values map[string]string
}

func lines(t *testing.T, text []byte) []line {
	var all []line
	for raw := range strings.Lines(string(text)) {
		l := line{t, nil, map[string]string{}}
		for i, w := range strings.Fields(raw) {
			if key, value, ok := strings.Cut(w, "="); ok {
				l.values[key] = value
			} else if i < 3 {
				l.words = append(l.words, w)
			}
			if !strings.Contains(w, "=") {
				l.values[w] = w
			}
		}
		if len(l.words) > 0 {
			all = append(all, l)
		}
	}
	return all
}

func (l line) get(key, fallback string) string {
	if v, ok := l.values[key]; ok {
		return v
	}
	return fallback
}

func (l line) list(key string) []string {
	if l.values[key] == "" {
		return nil
	}
	return strings.Split(l.values[key], ",")
}

func (l line) num(key string, fallback int) int {
	n, err := strconv.Atoi(l.get(key, fmt.Sprint(fallback)))
	if err != nil {
		l.t.Fatalf("%v: %v", l.words, err)
	}
	return n
}

func (l line) has(word string) bool { _, ok := l.values[word]; return ok }

func parseWish(t *testing.T, text []byte) Desired {
	d := Desired{Name: "shop"}
	for _, l := range lines(t, text) {
		switch name := l.words[1]; l.words[0] {
		case "network":
			d.Networks = append(d.Networks, Network{Key: name, Spec: api.Network{Name: name}, External: l.has("external"), Hash: l.get("hash", "h")})
		case "volume":
			d.Volumes = append(d.Volumes, Volume{Key: name, Spec: api.Volume{Name: name}, External: l.has("external"), Hash: l.get("hash", "h")})
		case "service":
			d.Services = append(d.Services, l.service(name))
		case "disabled":
			d.Disabled = append(d.Disabled, name)
		default:
			t.Fatalf("what is %q?", l.words[0])
		}
	}
	return d
}

func (l line) service(name string) Service {
	s := Service{Name: name, Hash: l.get("hash", "h"), Replicas: l.num("replicas", 1),
		Pull: PullPolicy(l.get("pull", "")), BuildAfter: l.list("of"), FixedName: l.has("name"), Facets: l.facets(), DependsOn: l.needs()}
	s.Pod = l.spec()
	s.Pod.Name = l.get("name", "shop-"+name)
	s.Pod.Labels = map[string]string{LabelProject: "shop", LabelService: name}
	s.Pod.Container.Image = l.get("image", "app")
	if l.has("build") {
		s.Build = &api.Build{Context: "/" + name, Names: []string{s.Pod.Container.Image}}
	}
	for i, ref := range l.list("hooks") {
		h := api.PodSpec{Name: HookName(s.Pod.Name, "-", i+1), Group: "shop", Labels: s.Pod.Labels}
		h.Container.Image, h.Container.VolumesFrom = ref, []api.VolumesFrom{{Pod: LenderPrefix + name}}
		s.PreStart = append(s.PreStart, h)
	}
	s.Pod.MapBorrowed(func(b api.Borrowed) string { return LenderPrefix + b.Of })
	return s
}

func (l line) facets() map[string]string {
	var facets map[string]string
	for _, f := range l.list("facets") {
		if facets == nil {
			facets = map[string]string{}
		}
		key, value, _ := strings.Cut(f, ":")
		facets[key] = value
	}
	return facets
}

func (l line) needs() []Dependency {
	var deps []Dependency
	for _, n := range l.list("needs") {
		f := strings.Split(n, ":")
		d := Dependency{Service: f[0], Condition: api.Started, Required: true}
		for _, w := range f[1:] {
			switch w {
			case "restart":
				d.Restart = true
			case "optional":
				d.Required = false
			default:
				d.Condition = api.Condition(w)
			}
		}
		deps = append(deps, d)
	}
	return deps
}

// spec has what services and pods share.
func (l line) spec() api.PodSpec {
	spec := api.PodSpec{Group: "shop"}
	if of := l.get("of", ""); of != "" {
		spec.Network.Mode, spec.Network.Pod = api.NetworkPod, of
	}
	if of := l.get("pid", ""); of != "" {
		spec.PID = api.Namespace{Mode: api.NamespacePod, Pod: of}
	}
	for _, of := range l.list("from") {
		spec.Container.VolumesFrom = append(spec.Container.VolumesFrom, api.VolumesFrom{Pod: of})
	}
	for _, n := range l.list("networks") {
		name, ip, _ := strings.Cut(n, "@")
		e := api.Endpoint{Network: name}
		if ip != "" {
			e.IPv4 = netip.MustParseAddr(ip)
		}
		spec.Network.Endpoints = append(spec.Network.Endpoints, e)
	}
	for _, v := range l.list("volumes") {
		name, target, _ := strings.Cut(v, ":")
		spec.Container.Mounts = append(spec.Container.Mounts, api.Mount{Type: api.MountVolume, Source: name, Target: target})
	}
	for _, v := range l.list("mounts") {
		ref, id, _ := strings.Cut(v, ":")
		spec.Container.Mounts = append(spec.Container.Mounts, api.Mount{Type: api.MountImage, Source: ref, ImageID: id, Target: "/" + ref})
	}
	for _, p := range l.list("ports") {
		host, ctr, _ := strings.Cut(p, ":")
		from, to, _ := strings.Cut(host, "-")
		port := api.Port{Protocol: "tcp", HostPort: number(l.t, from), Container: number(l.t, ctr)}
		if to != "" {
			port.HostEnd = number(l.t, to)
		}
		spec.Network.Ports = append(spec.Network.Ports, port)
	}
	if l.has("health") {
		spec.Container.Health = &api.HealthCheck{Test: []string{"CMD", "true"}}
	}
	return spec
}

func number(t *testing.T, s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}

func parseObserved(t *testing.T, text []byte) Observed {
	o := Observed{Images: map[string]api.Image{}}
	o.Networks, o.Volumes = map[string]api.Network{}, map[string]api.Volume{}
	for _, l := range lines(t, text) {
		labels := map[string]string{LabelProject: l.get("project", "shop"), LabelHash: l.get("hash", "h")}
		switch name := l.words[1]; l.words[0] {
		case "network":
			o.Networks[name] = api.Network{Name: name, Labels: labels}
		case "volume":
			o.Volumes[name] = api.Volume{Name: name, Labels: labels, Anonymous: l.has("anonymous")}
		case "image":
			img := api.Image{ID: l.words[2], Layers: []string{"/" + l.words[2]}}
			img.Config.Volumes = l.list("volumes")
			o.Images[name] = img
		case "pod":
			o.Pods = append(o.Pods, l.pod(name))
		default:
			t.Fatalf("what is %q?", l.words[0])
		}
	}
	if len(o.Images) == 0 {
		o.Images["app"] = api.Image{ID: "app-id", Layers: []string{"/app"}}
	}
	return o
}

func (l line) pod(service string) api.Pod {
	n := l.words[2]
	p := api.Pod{Spec: l.spec(), Status: api.Status(l.get("status", "running")), ExitCode: l.num("code", 0), ExitKnown: true}
	p.FilesLost, p.Halting = l.has("fileslost"), l.has("halting")
	p.RunLost = l.has("runlost")
	if p.Returns = l.has("returns"); p.Returns {
		p.Spec.Container.Restart.Name = l.get("restart", "always")
	}
	p.Spec.Name = l.get("name", "shop-"+service+"-"+n)
	p.Spec.Labels = map[string]string{LabelProject: "shop", LabelService: service, LabelNumber: n, LabelHash: l.get("hash", "h"), LabelDependsOn: formatDependsOn(l.needs())}
	if f := l.facets(); f != nil {
		b, _ := json.Marshal(f)
		p.Spec.Labels[LabelFacets] = string(b)
	}
	p.Spec.AutoRemove = l.has("autoremove")
	if l.has("hook") {
		p.Spec.Labels[LabelHook], p.Spec.Labels[LabelOneoff] = "pre_start", "True"
	}
	p.HooksDue = l.has("due")
	if l.has("oneoff") {
		p.Spec.Labels[LabelOneoff] = "True"
	}
	p.Spec.Container.ImageID = l.get("image", "app-id")
	p.Spec.Container.Image = "app"
	p.Volumes = map[string]string{}
	for _, m := range p.Spec.Container.Mounts {
		p.Volumes[m.Target] = m.Source
	}
	if running(&p) {
		p.Health = api.Health(l.get("health", ""))
		p.Ports = p.Spec.Network.Ports
		for _, e := range p.Spec.Network.Endpoints {
			i := api.Interface{Network: e.Network}
			if e.IPv4.IsValid() {
				i.IPv4 = netip.PrefixFrom(e.IPv4, 24)
			}
			p.Interfaces = append(p.Interfaces, i)
		}
	}
	return p
}
