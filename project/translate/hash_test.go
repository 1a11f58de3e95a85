package translate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/project"
)

func translateYAML(t testing.TB, setup, yaml string, files map[string]string) *Result {
	t.Helper()
	a := &txtar.Archive{Comment: []byte(setup), Files: []txtar.File{{Name: "compose.yaml", Data: []byte(yaml)}}}
	for name, content := range files {
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(content)})
	}
	_, p, opt, err := load(t, a)
	if err != nil {
		t.Fatal(err)
	}
	res, err := Translate(p, opt)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// changed names the facets that differ between the first services of two results.
func changed(a, b *Result) []string {
	var keys []string
	x, y := a.Desired.Services[0].Facets, b.Desired.Services[0].Facets
	for k := range maps.Keys(x) {
		if y[k] != x[k] {
			keys = append(keys, k)
		}
	}
	for k := range y {
		if _, ok := x[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

const hashBase = "services:\n  web:\n    image: nginx\n    env_file: e\n    secrets: [s]\nsecrets: {s: {environment: S}}\n"

// TestHash says which changes recreate a replica, and how they are explained.
func TestHash(t *testing.T) {
	base := translateYAML(t, "env S=secret", hashBase, map[string]string{"e": "A=1\n"})
	for _, tt := range []struct {
		name, old, new string
		files          map[string]string
		secret         string
		facets         string // empty: the hash stays
	}{
		{name: "nothing"},
		{name: "pull policy", old: "    image: nginx", new: "    image: nginx\n    pull_policy: never"},
		{name: "replicas", old: "    image: nginx", new: "    image: nginx\n    deploy: {replicas: 2}"},
		{name: "build", old: "    image: nginx", new: "    image: nginx\n    build: ."},
		{name: "expose", old: "    image: nginx", new: "    image: nginx\n    expose: [80]", facets: "expose"},
		{name: "dependency", old: "secrets: {s:", new: "    depends_on: [w]\n  w: {image: x}\nsecrets: {s:"},
		{name: "image", old: "nginx", new: "nginx:2", facets: "image"},
		{name: "environment", old: "    image: nginx", new: "    image: nginx\n    environment: {A: 2, B: 3}", facets: "environment.A environment.B"},
		{name: "env file", files: map[string]string{"e": "A=2\n"}, facets: "environment.A"},
		{name: "env file moved", old: "env_file: e", new: "env_file: f", files: map[string]string{"f": "A=1\n"}},
		{name: "secret content", secret: "other", facets: "secrets./run/secrets/s"},
		{name: "command", old: "    image: nginx", new: "    image: nginx\n    command: []", facets: "command"},
		{name: "label", old: "    image: nginx", new: "    image: nginx\n    labels: {a: b}", facets: "labels.a"},
		{name: "ports", old: "    image: nginx", new: "    image: nginx\n    ports: [80]", facets: "ports"},
		{name: "mount", old: "    image: nginx", new: "    image: nginx\n    volumes: [/x]", facets: "volumes./x"},
		{name: "network", old: "    image: nginx", new: "    image: nginx\n    networks: {default: {aliases: [a]}}", facets: "networks.default"},
		{name: "mode", old: "    image: nginx", new: "    image: nginx\n    network_mode: host", facets: "network_mode networks.default"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{"e": "A=1\n"}
			maps.Copy(files, tt.files)
			setup := "env S=" + cmp.Or(tt.secret, "secret")
			got := translateYAML(t, setup, strings.Replace(hashBase, tt.old, tt.new, 1), files)
			i := slices.IndexFunc(got.Desired.Services, func(s project.Service) bool { return s.Name == "web" })
			got.Desired.Services[0] = got.Desired.Services[i]
			if same := got.Desired.Services[0].Hash == base.Desired.Services[0].Hash; same != (tt.facets == "") {
				t.Errorf("hash unchanged: %t", same)
			}
			if facets := changed(base, got); strings.Join(facets, " ") != tt.facets {
				t.Errorf("facets %q, want %q", facets, tt.facets)
			}
		})
	}
}

// TestSecretsAreKeyed: without the key, nobody can test a guess against what podc stores.
func TestSecretsAreKeyed(t *testing.T) {
	yaml := "services:\n  web: {image: x, configs: [c]}\nconfigs: {c: {content: canary}}\n"
	a, b := translateYAML(t, "key one", yaml, nil), translateYAML(t, "key two", yaml, nil)
	if a.Desired.Services[0].Hash == b.Desired.Services[0].Hash {
		t.Error("the hash does not depend on the key")
	}
	for k, v := range a.Desired.Services[0].Facets {
		if b.Desired.Services[0].Facets[k] == v {
			t.Errorf("facet %s does not depend on the key", k)
		}
	}
	out, err := json.Marshal(a.Desired)
	if err != nil || bytes.Contains(out, []byte("canary")) {
		t.Errorf("%v %s", err, out)
	}
	if got := string(a.Contents[project.ContentKey("web", "/c")]); got != "canary" {
		t.Errorf("content %q", got)
	}
}

// TestEveryFieldHasAFacet sets each field of a template in turn: the hash must see it, and some facet explain it.
func TestEveryFieldHasAFacet(t *testing.T) {
	base := map[string]any{}
	for k, v := range facets(api.PodSpec{}, nil, nil) {
		base[k] = string(encode(v))
	}
	skip := map[string]string{
		"Group": "the project's name, which is in every name", "ImageID": "compared apart", "Labels": "by key", "Network": "below",
		"Container": "below", "Files": "with their digests", "Pod": "settled by the planner", "Names": "not used by compose",
		"AutoRemove": "of one-offs, which are not compared", "StdinOnce": "of one-offs, which are not compared",
		"Unnamed": "of one-offs and hooks, which are not compared",
	}
	check := func(field string, spec api.PodSpec) {
		t.Helper()
		if skip[field] != "" {
			return
		}
		for k, v := range facets(spec, nil, nil) {
			if base[k] != string(encode(v)) {
				return
			}
		}
		t.Errorf("a change of %s has no facet", field)
	}
	eachField(func(s *api.PodSpec) reflect.Value { return reflect.ValueOf(s).Elem() }, check)
	eachField(func(s *api.PodSpec) reflect.Value { return reflect.ValueOf(&s.Network).Elem() }, check)
	eachField(func(s *api.PodSpec) reflect.Value { return reflect.ValueOf(&s.Container).Elem() }, check)
	eachField(func(s *api.PodSpec) reflect.Value { return reflect.ValueOf(&s.Container.Resources).Elem() }, check)
}

func eachField(part func(*api.PodSpec) reflect.Value, check func(string, api.PodSpec)) {
	var zero api.PodSpec
	for i := range part(&zero).NumField() {
		var spec api.PodSpec
		f := part(&spec).Field(i)
		fill(f)
		check(part(&zero).Type().Field(i).Name, spec)
	}
}

// fill gives v some value that is not its zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x=y")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	}
}

func BenchmarkTranslate(b *testing.B) {
	a, err := txtar.ParseFile("testdata/stack.txtar")
	if err != nil {
		b.Fatal(err)
	}
	_, p, opt, err := load(b, a)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Translate(p, opt); err != nil {
			b.Fatal(err)
		}
	}
}

// TestShownModelMeansTheSame: what `podc config` prints, loaded again, gives the same hashes.
func TestShownModelMeansTheSame(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range archives {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, p, opt, err := load(t, a)
		if err != nil {
			continue
		}
		first, err := Translate(p, opt)
		if err != nil {
			continue
		}
		yaml, err := p.MarshalYAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := compose.Load(context.Background(), compose.Options{
			Files: []string{"-"}, Stdin: bytes.ReplaceAll(yaml, []byte("$"), []byte("$$")), WorkingDir: p.WorkingDir,
			Environment: p.Environment, Profiles: p.Profiles,
		})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		second, err := Translate(again, opt)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for i, s := range first.Desired.Services {
			if s.Hash != second.Desired.Services[i].Hash {
				t.Errorf("%s: the hash of %s changes", path, s.Name)
			}
		}
	}
}

// The model of compose-go does not tell a swappiness of 0 from none.
func TestASwappinessOfNoneIsNotZero(t *testing.T) {
	for yaml, want := range map[string]bool{"mem_swappiness: 0": true, "cpus: 1": false} {
		r := translateYAML(t, "key", "services: {web: {image: x, "+yaml+"}}\n", nil).Desired.Services[0].Pod.Container.Resources.Swappiness
		if (r != nil) != want {
			t.Errorf("%s: %v", yaml, r)
		}
	}
}
