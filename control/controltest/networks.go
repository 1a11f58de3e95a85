package controltest

import (
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
)

var networks = []behaviour{
	{"a network is made, found and removed", networked},
	{"a container joins and leaves networks", connected},
	{"only networks that nobody uses are pruned", networksPruned},
}

// network makes a network.
func (s *suite) network(name string, labels map[string]string) {
	s.Helper()
	must(s.Networks.Create(s.ctx, control.NewNetwork{Network: api.Network{Name: name, Labels: labels}}))(s)
}

func networked(s *suite) {
	s.network("n", map[string]string{"a": "b"})
	s.network("m", nil)
	s.is(failed(s.Networks.Create(s.ctx, control.NewNetwork{Network: api.Network{Name: "n"}})), errdefs.IsAlreadyExists)
	id := must(s.Networks.Inspect(s.ctx, "n"))(s).ID
	for _, ref := range []string{"n", id, id[:12]} {
		equal(s, ref, must(s.Networks.Get(s.ctx, ref))(s).Name, "n")
		equal(s, ref, must(s.Networks.Inspect(s.ctx, ref))(s).ID, id)
	}
	for filter, want := range map[string]string{"": "m n", "label=a": "n", "id=" + id[:12]: "n", "name=m": "m", "driver=ipvlan": "", "dangling=true": "m n"} {
		f := control.Filters{}
		if key, value, ok := strings.Cut(filter, "="); ok {
			f[key] = []string{value}
		}
		var got []string
		for _, n := range must(s.Networks.List(s.ctx, f))(s) {
			got = append(got, n.Name)
		}
		equal(s, filter, strings.Join(got, " "), want)
	}
	s.ok(s.Networks.Remove(s.ctx, id))
	s.is(failed(s.Networks.Get(s.ctx, "n")), errdefs.IsNotFound)
	s.is(s.Networks.Remove(s.ctx, "n"), errdefs.IsNotFound)
}

// on names the networks that a container is on.
func (s *suite) on(service string) string {
	s.Helper()
	var names []string
	for _, i := range s.pod(service).Interfaces {
		names = append(names, i.Network)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func connected(s *suite) {
	s.network("n", nil)
	s.network("m", nil)
	s.up(s.sleeper("a"))
	name := nameOf("a")
	s.is(s.Networks.Connect(s.ctx, "n", "suite-none", api.Endpoint{}), errdefs.IsNotFound)
	s.is(s.Networks.Connect(s.ctx, "none", name, api.Endpoint{}), errdefs.IsNotFound)
	s.ok(s.Networks.Connect(s.ctx, "n", name, api.Endpoint{Aliases: []string{"other"}}))
	s.is(s.Networks.Connect(s.ctx, "n", name, api.Endpoint{}), errdefs.IsAlreadyExists)
	equal(s, "networks", s.on("a"), "n")
	s.sh("a", "until nslookup other > /dev/null; do sleep 0.02; done")
	equal(s, "containers of the network", len(must(s.Networks.Inspect(s.ctx, "n"))(s).Containers), 1)
	s.is(s.Networks.Remove(s.ctx, "n"), errdefs.IsFailedPrecondition)
	s.is(s.Networks.Disconnect(s.ctx, "m", name, false), errdefs.IsNotFound)
	s.ok(s.Networks.Disconnect(s.ctx, "m", name, true))
	s.ok(s.Networks.Disconnect(s.ctx, "m", "suite-none", true))
	s.ok(s.Networks.Disconnect(s.ctx, "n", name, false))
	equal(s, "networks", s.on("a"), "")

	s.ok(s.Containers.Stop(s.ctx, name, control.StopOptions{}))
	s.ok(s.Networks.Connect(s.ctx, "m", name, api.Endpoint{}))
	s.is(s.Networks.Connect(s.ctx, "m", name, api.Endpoint{}), errdefs.IsAlreadyExists)
	s.ok(s.Containers.Start(s.ctx, name))
	equal(s, "networks", s.on("a"), "m")
}

func networksPruned(s *suite) {
	s.network("used", nil)
	s.network("free", map[string]string{"keep": "no"})
	s.up(s.sleeper("a"))
	s.ok(s.Networks.Connect(s.ctx, "used", nameOf("a"), api.Endpoint{}))
	for _, f := range []control.Filters{{"label!": {"keep"}}, {"until": {"1h"}}} {
		equal(s, "removed", len(must(s.Networks.Prune(s.ctx, f))(s).Names), 0)
	}
	equal(s, "removed", strings.Join(must(s.Networks.Prune(s.ctx, nil))(s).Names, " "), "free")
	equal(s, "networks", s.on("a"), "used")
}
