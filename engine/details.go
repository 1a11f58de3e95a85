package engine

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/engine/oci"
	"podc.example/podc/internal/disk"
)

// Details tells the details of pod. It reads nothing of the pod.
func (s *store) Details(pod api.Pod) api.PodDetails {
	name, shared := pod.Spec.Name, pod.Spec.Name
	if pod.Spec.Network.Mode == api.NetworkPod {
		shared = pod.Spec.Network.Pod
	}
	etc := func(owner, file string) string { return filepath.Join(s.e.paths.etc(owner), file) }
	d := api.PodDetails{
		Log:   s.e.paths.log(name),
		Hosts: etc(shared, "hosts"), Resolv: etc(shared, "resolv.conf"), Hostname: etc(name, "hostname"),
		Merged: s.e.paths.merged(name), Upper: s.e.paths.diff(name), Work: s.e.paths.work(name),
		UserXattrs: s.e.host().UserXattrs, NetNS: s.e.paths.ns(shared, "net"),
	}
	if pod.Spec.Network.Mode == api.NetworkHost {
		d.NetNS = ""
	}
	opt, _ := oci.ParseSecurityOpt(pod.Spec.Container.SecurityOpt) // checked when the pod was made
	d.AppArmor = s.e.host().ProfileOf(pod.Spec.Container, opt)
	if !pod.Spec.Container.Privileged && !opt.Unmasked {
		d.Masked, d.ReadOnly = oci.MaskedPaths, oci.ReadonlyPaths
	}
	return d
}

// MountPoints are the places in a container where something is, or was, mounted, as its last start had them.
func (s *store) MountPoints(p api.Pod) []string {
	var last specs.Spec
	disk.ReadJSON(s.e.paths.config(p.Spec.Name), &last) // of one that was never started there is none
	var mounts []string
	for _, m := range last.Mounts {
		mounts = append(mounts, m.Destination)
	}
	mounts = append(mounts, slices.Sorted(maps.Keys(p.Volumes))...)
	for i, m := range mounts {
		mounts[i] = strings.Trim(m, "/")
	}
	slices.Sort(mounts)
	return slices.Compact(mounts)
}
