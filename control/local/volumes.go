package local

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/engine"
)

// volumesOf implements control.Volumes.
type volumesOf struct{ engine *engine.Engine }

// List: names match by a regular expression.
func (v volumesOf) List(_ context.Context, f control.Filters) ([]dockerapi.Volume, error) {
	found, err := v.filtered(f)
	var list []dockerapi.Volume
	for _, is := range found {
		list = append(list, dockerapi.InspectVolume(is, v.engine.Volumes().Path(is.Name)))
	}
	return list, err
}

func (v volumesOf) filtered(f control.Filters) ([]api.Volume, error) {
	named, err1 := f.Matches("name")
	dangling, err2 := f.Toggle("dangling")
	err2 = errors.Join(f.Only(control.VolumeFilters...), err2)
	all, err3 := v.engine.Volumes().List()
	used, err4 := v.used()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	list := slices.SortedFunc(maps.Values(all), func(a, b api.Volume) int { return strings.Compare(a.Name, b.Name) })
	return slices.DeleteFunc(list, func(v api.Volume) bool {
		d := dockerapi.InspectVolume(v, "")
		return !named(v.Name) || !f.Is("driver", d.Driver) || !f.Labelled(d.Labels) || !dangling(!used[v.Name])
	}), nil
}

// used are those that a container has, whether it runs or not.
func (v volumesOf) used() (map[string]bool, error) {
	pods, err := v.engine.Pods("")
	used := map[string]bool{}
	for _, p := range pods {
		for _, name := range p.Volumes {
			used[name] = true
		}
	}
	return used, err
}

func (v volumesOf) Inspect(_ context.Context, name string) (dockerapi.Volume, error) {
	found, err := v.engine.Volumes().Get(name)
	return dockerapi.InspectVolume(found, v.engine.Volumes().Path(name)), err
}

func (v volumesOf) Create(ctx context.Context, want api.Volume) (api.Volume, error) {
	if want.Name == "" {
		want.Name, want.Anonymous = api.NewID(), true
	}
	return want, v.engine.CreateVolume(ctx, want)
}

func (v volumesOf) Remove(ctx context.Context, name string) error {
	if _, err := v.engine.Volumes().Get(name); err != nil {
		return err
	}
	return v.engine.RemoveVolume(ctx, name)
}

func (v volumesOf) Prune(ctx context.Context, f control.Filters, all bool) (control.Pruned, error) {
	if err := f.Only("label", "label!"); err != nil {
		return control.Pruned{}, err
	}
	found, err := v.filtered(control.Filters{"label": f["label"], "label!": f["label!"], "dangling": {"true"}})
	if err != nil {
		return control.Pruned{}, err
	}
	found = slices.DeleteFunc(found, func(v api.Volume) bool { return !all && !v.Anonymous })
	return prune(ctx, found, func(v api.Volume) string { return v.Name }, func(is api.Volume) (int64, error) {
		bytes, err := v.engine.Volumes().Size(ctx, is.Name)
		if err != nil && !errdefs.IsNotFound(err) {
			return 0, err
		}
		return bytes, v.engine.RemoveVolume(ctx, is.Name)
	})
}
