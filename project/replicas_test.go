package project

import (
	"reflect"
	"testing"

	"podc.example/podc/api"
)

func TestReplica(t *testing.T) {
	s := parseWish(t, []byte("service db needs=a:healthy:restart,b:completed,c facets=ports:1 volumes=data:/var/lib/db,:/var")).Services[0]
	img := api.Image{ID: "1234"}
	img.Config.Volumes = []string{"/var/lib/db", "/cache"}
	img.Config.Labels = map[string]string{LabelProject: "other", LabelOneoff: "True", "from": "image"}
	spec := Replica(s, 3, img)
	want := map[string]string{
		LabelProject: "shop", LabelService: "db", LabelNumber: "3", LabelHash: "h", LabelImage: "sha256:1234",
		LabelDependsOn: "a:service_healthy:true,b:service_completed_successfully:false,c:service_started:false",
		LabelFacets:    `{"ports":"1"}`,
		"from":         "image",
	}
	if spec.Name != "shop-db-3" || spec.Container.ImageID != "1234" || !reflect.DeepEqual(spec.Labels, want) {
		t.Errorf("got %s, %v", spec.Name, spec.Labels)
	}
	var targets []string
	for _, m := range spec.Container.Mounts {
		targets = append(targets, m.Target)
		if own := m.Labels[LabelService] == "db"; own != (m.Source == "") {
			t.Errorf("mount %s has labels %v", m.Target, m.Labels)
		}
	}
	if !reflect.DeepEqual(targets, []string{"/var", "/cache", "/var/lib/db"}) {
		t.Errorf("mounts %v", targets)
	}
	if len(s.Pod.Container.Mounts) != 2 || s.Pod.Container.Mounts[1].Labels != nil || s.Pod.Labels[LabelNumber] != "" {
		t.Errorf("the template changed: %v", s.Pod)
	}
}

func TestReplicaName(t *testing.T) {
	for base, want := range map[string]string{"shop-a_b": "shop-a_b-2", "shop_a_b": "shop_a_b_2", "my_shop-a_b": "my_shop-a_b-2"} {
		s := Service{Name: "a_b", Pod: api.PodSpec{Name: base}}
		if got := replicaName(s, 2); got != want {
			t.Errorf("%s: got %s, want %s", base, got, want)
		}
	}
}

func FuzzParseDependsOn(f *testing.F) {
	f.Add("db:service_healthy:true,cache:service_started:false")
	f.Add("db")
	f.Add(":,,::")
	f.Fuzz(func(t *testing.T, label string) {
		deps := parseDependsOn(label)
		if again := parseDependsOn(formatDependsOn(deps)); !reflect.DeepEqual(deps, again) {
			t.Errorf("%q: %v, then %v", label, deps, again)
		}
	})
}
