package project

import (
	"net/netip"
	"slices"
	"testing"

	"podc.example/podc/api"
)

func webService() Service {
	return Service{
		Name: "web", Replicas: 3, Hash: "h", DependsOn: []Dependency{{Service: "db", Required: true}},
		Pod: api.PodSpec{
			Name: "shop-web", Labels: map[string]string{LabelProject: "shop", LabelOneoff: "False"},
			Network: api.PodNetwork{Endpoints: []api.Endpoint{{Network: "shop_back", Aliases: []string{"web", "www"}, IPv4: netip.MustParseAddr("10.5.0.9"), MAC: "02:00:00:00:00:01"}}},
			Container: api.ContainerSpec{
				Image: "app", Command: []string{"serve"}, Env: []string{"A=1"}, User: "www", Restart: api.RestartPolicy{Name: "always"}, CapAdd: []string{"NET_RAW"},
			},
		},
	}
}

func TestAOneOffIsNoReplica(t *testing.T) {
	web := webService()
	r := OneOff{Service: "web", Pod: "shop-web-run-1", Slug: "abc", Labels: map[string]string{"mine": "x"}, AutoRemove: true, TTY: true, Stdin: true}
	s := r.of(web, false)
	pod := s.Pod
	if replicaName(s, 1) != "shop-web-run-1" || s.Replicas != 1 || !pod.AutoRemove || len(s.DependsOn) != 1 {
		t.Errorf("%+v", s)
	}
	labels := replicaLabels(s, 1, api.Image{})
	for label, want := range map[string]string{LabelOneoff: "True", LabelSlug: "abc", "mine": "x", LabelProject: "shop", LabelDependsOn: "db:service_started:false"} {
		if labels[label] != want {
			t.Errorf("label %s is %q, want %q", label, labels[label], want)
		}
	}
	if c := pod.Container; c.Restart.Name != "" || !c.TTY || !c.StdinOpen || c.User != "www" || !slices.Equal(c.Command, []string{"serve"}) {
		t.Errorf("%+v", c)
	}
	if e := pod.Network.Endpoints[0]; e.Network != "shop_back" || e.Aliases != nil || e.IPv4.IsValid() || e.MAC != "" {
		t.Errorf("it is known as %+v", e)
	}
	if old := webService(); old.Pod.Labels[LabelOneoff] != web.Pod.Labels[LabelOneoff] || web.Pod.Network.Endpoints[0].Aliases == nil {
		t.Error("the service has changed")
	}
}

func TestAOneOffIsWhatItsFlagsSay(t *testing.T) {
	s := OneOff{Service: "web", Pod: "x", Command: []string{"sh"}, Env: []string{"A=2"}, User: "0", WorkingDir: "/tmp", CapAdd: []string{"MKNOD"},
		CapDrop: []string{"CHOWN"}, UseAliases: true}.of(webService(), true)
	c := s.Pod.Container
	if !slices.Equal(c.Command, []string{"sh"}) || !slices.Equal(c.Env, []string{"A=1", "A=2"}) || c.User != "0" || c.WorkingDir != "/tmp" ||
		!slices.Equal(c.CapAdd, []string{"NET_RAW", "MKNOD"}) || !slices.Equal(c.CapDrop, []string{"CHOWN"}) {
		t.Errorf("%+v", c)
	}
	if e := s.Pod.Network.Endpoints[0]; !slices.Equal(e.Aliases, []string{"web", "www"}) || !e.IPv4.IsValid() {
		t.Errorf("it is known as %+v", e)
	}
	if len(s.DependsOn) != 0 || replicaLabels(s, 1, api.Image{})[LabelDependsOn] != "" {
		t.Errorf("alone, it depends on %v", s.DependsOn)
	}
}
