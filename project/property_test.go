package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"podc.example/podc/api"
	"podc.example/podc/engine/enginetest"
)

// randomWish draws a project of up to five services with dependencies, networks, volumes and shared namespaces. Nothing in it
// fails by itself.
func randomWish(r *rapid.T, label string) Desired {
	draw := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(r, label+what) }
	d := Desired{Name: "shop"}
	for i := range 2 {
		d.Networks = append(d.Networks, Network{Key: fmt.Sprint("n", i), Spec: api.Network{Name: fmt.Sprint("shop_n", i)}, Hash: fmt.Sprint(draw(2, "network hash"))})
		d.Volumes = append(d.Volumes, Volume{Key: fmt.Sprint("v", i), Spec: api.Volume{Name: fmt.Sprint("shop_v", i)}, Hash: fmt.Sprint(draw(2, "volume hash"))})
	}
	for i := range draw(5, "services") + 1 {
		s := Service{Name: fmt.Sprint("s", i), Replicas: draw(4, "replicas"), Hash: fmt.Sprint(draw(3, "hash"))}
		s.Pod = api.PodSpec{Name: "shop-" + s.Name, Group: "shop", Labels: map[string]string{LabelProject: "shop", LabelService: s.Name}}
		s.Pod.Container.Image = fmt.Sprint("image", draw(2, "image"))
		s.Pod.Container.Health = &api.HealthCheck{Test: []string{"CMD", "ok"}}
		if draw(2, "has volume") == 0 {
			s.Pod.Container.Mounts = append(s.Pod.Container.Mounts, api.Mount{Type: api.MountVolume, Source: fmt.Sprint("shop_v", draw(2, "volume")), Target: "/v"})
		}
		if draw(2, "has anonymous volume") == 0 {
			s.Pod.Container.Mounts = append(s.Pod.Container.Mounts, api.Mount{Type: api.MountVolume, Target: "/a"})
		}
		for j := range i {
			if draw(3, "depends") == 0 {
				dep := Dependency{Service: fmt.Sprint("s", j), Restart: draw(2, "restart") == 0, Required: draw(4, "required") > 0}
				dep.Condition = []api.Condition{api.Started, api.Healthy}[draw(2, "condition")]
				s.DependsOn = append(s.DependsOn, dep)
			}
		}
		shares := draw(4, "shares")
		if shares == 0 && i > 0 && d.Services[i-1].Replicas > 0 && len(d.Services[i-1].lenders()) == 0 {
			s.Pod.Network.Mode, s.Pod.Network.Pod = api.NetworkPod, LenderPrefix+d.Services[i-1].Name
		} else {
			s.Pod.Network.Endpoints = []api.Endpoint{{Network: fmt.Sprint("shop_n", draw(2, "network"))}}
		}
		d.Services = append(d.Services, s)
	}
	return d
}

func randomImages(r *rapid.T, label string) map[string]api.Image {
	images := map[string]api.Image{}
	for i := range 2 {
		id := fmt.Sprintf("image%d-%d", i, rapid.IntRange(0, 1).Draw(r, label+"image id"))
		img := api.Image{ID: id, Layers: []string{"/" + id}}
		img.Config.Volumes = []string{"/i"}
		images[fmt.Sprint("image", i)] = img
	}
	return images
}

func randomOptions(r *rapid.T) UpOptions {
	flip := func(what string) bool { return rapid.IntRange(0, 3).Draw(r, what) == 0 }
	return UpOptions{RenewAnon: flip("renew"), RemoveOrphans: flip("orphans"), Wait: flip("wait"), ForceRecreate: flip("force"), KeepVolumes: flip("keep volumes")}
}

func observeFake(t interface{ Fatal(...any) }, f *enginetest.Fake, images map[string]api.Image) Observed {
	s, err := f.Snapshot(context.Background(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	return Observed{Snapshot: s, Images: images}
}

// disturb lets things happen to pods between two plans.
func disturb(r *rapid.T, f *enginetest.Fake) {
	for _, p := range observeFake(r, f, nil).Pods {
		switch rapid.IntRange(0, 5).Draw(r, "happens to "+p.Spec.Name) {
		case 0:
			f.Edit(p.Spec.Name, func(p *api.Pod) {
				p.Status, p.ExitCode, p.ExitKnown, p.Interfaces, p.Ports = api.StatusExited, 1, true, nil, nil
			})
		case 1:
			f.Edit(p.Spec.Name, func(p *api.Pod) { p.Status, p.Interfaces = api.StatusCreating, nil })
		case 2:
			f.Edit(p.Spec.Name, func(p *api.Pod) { p.Status, p.Interfaces = api.StatusRemoving, nil })
		}
	}
}

// apply plans and runs, and checks what holds for every plan and run.
func apply(r *rapid.T, f *enginetest.Fake, d Desired, images map[string]api.Image, opt UpOptions) error {
	plan, err := Diff(d, observeFake(r, f, images), opt)
	if err != nil {
		r.Fatal(err)
	}
	checkOrder(r, plan)
	begun, failed := map[Key]bool{}, map[Key]bool{}
	err = Run(r.Context(), f, plan, func(e Event) {
		if e.Step == nil {
			return
		}
		switch e.Kind {
		case StepBegan:
			begun[e.Step.Key] = true
		default:
			failed[e.Step.Key] = e.Err != nil
		}
	})
	for _, s := range plan.Steps {
		for _, id := range s.After {
			if failed[id] && begun[s.Key] {
				r.Fatalf("%q began although %q failed\n%s", s.Key, id, plan)
			}
		}
	}
	return err
}

// Whatever there was, and whatever happened meanwhile: after one run there is nothing left to do, and nothing is left after
// down.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := &enginetest.Fake{}
		for i := range rapid.IntRange(1, 3).Draw(r, "wishes") {
			label := fmt.Sprintf("%d: ", i)
			d, images, opt := randomWish(r, label), randomImages(r, label), randomOptions(r)
			if err := apply(r, f, d, images, opt); err != nil {
				r.Fatalf("%v\n%s", err, strings.Join(f.Log(), "\n"))
			}
			opt.ForceRecreate, opt.RenewAnon = false, false
			again, err := Diff(d, observeFake(r, f, images), opt)
			if err != nil || !again.Empty() {
				r.Fatalf("the second plan is not empty: %v\n%s", err, again)
			}
			disturb(r, f)
			if rapid.Bool().Draw(r, "from labels") {
				d.Services, d.Volumes, d.Networks = nil, nil, nil
			}
			if rapid.IntRange(0, 2).Draw(r, "down") == 0 {
				checkDown(r, f, d)
			}
		}
	})
}

func checkDown(r *rapid.T, f *enginetest.Fake, d Desired) {
	plan, err := planDown(d, observeFake(r, f, nil), DownOptions{Volumes: true, RemoveOrphans: true})
	if err != nil {
		r.Fatal(err)
	}
	checkOrder(r, plan)
	if err := Run(r.Context(), f, plan, nil); err != nil {
		r.Fatalf("%v\n%s", err, plan)
	}
	if o := observeFake(r, f, nil); len(o.Pods)+len(o.Networks)+len(o.Volumes) > 0 {
		r.Fatalf("left: %v %v %v\n%s", o.Pods, o.Networks, o.Volumes, plan)
	}
}

// A run in which any calls fail lets no dependent of a failure run, and the next one goes on from there.
func TestHeals(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var mu sync.Mutex
		var bad []string
		f := &enginetest.Fake{Fail: func(call string) error {
			mu.Lock()
			defer mu.Unlock()
			if slices.ContainsFunc(bad, func(prefix string) bool { return strings.HasPrefix(call, prefix) }) {
				return errBoom
			}
			return nil
		}}
		first, second := randomWish(r, "first: "), randomWish(r, "second: ")
		images := randomImages(r, "")
		if err := apply(r, f, first, images, UpOptions{}); err != nil {
			r.Fatal(err)
		}
		verbs := []string{"create pod shop-s0", "create pod shop-s1", "start pod shop-s0", "start pod shop-s1", "stop pod shop-s1", "remove pod shop-s0",
			"remove pod shop-s2", "wait pod shop-s0", "create network shop_n0", "remove network shop_n1", "remove volume shop_v0"}
		bad = rapid.SliceOfN(rapid.SampledFrom(verbs), 0, 3).Draw(r, "bad")
		if err := apply(r, f, second, images, UpOptions{}); err != nil && !errors.Is(err, errBoom) {
			r.Fatal(err)
		}
		bad = nil
		if err := apply(r, f, second, images, UpOptions{}); err != nil {
			r.Fatalf("%v\n%s", err, strings.Join(f.Log(), "\n"))
		}
		if again, err := Diff(second, observeFake(r, f, images), UpOptions{}); err != nil || !again.Empty() {
			r.Fatalf("not healed: %v\n%s", err, again)
		}
	})
}
