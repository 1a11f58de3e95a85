package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/engine/oci"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// Snapshot reads what exists: the pods of group (of every group if it is empty), all networks, those made by hand too, and all volumes. It takes no
// lock and changes nothing; a pod that appears or vanishes meanwhile is there or not. A container that has ended and is about
// to be noted as such is waited for: to a plan it must not count as running.
func (s *store) Snapshot(ctx context.Context, group string) (api.Snapshot, error) {
	all, err := s.readAll()
	if err != nil {
		return api.Snapshot{}, err
	}
	for _, p := range all {
		if p.ending && (group == "" || p.Spec.Group == group) {
			if err := s.awaitNoted(ctx, p.Spec.Name, p.state.Conmon); err != nil {
				return api.Snapshot{}, err
			}
			p.refresh()
		}
	}
	snap := api.Snapshot{Pods: views(all, group)}
	if snap.Networks, snap.Unread = s.e.net.AllNetworks(); snap.Networks == nil {
		return snap, snap.Unread
	}
	snap.Volumes, err = s.e.volumes.List()
	return snap, err
}

// Pods reads the pods of group, or of every group if it is empty, by name.
func (s *store) Pods(group string) ([]api.Pod, error) {
	all, err := s.readAll()
	if err != nil {
		return nil, err
	}
	return views(all, group), nil
}

func views(all []*pod, group string) []api.Pod {
	pods := make([]api.Pod, 0, len(all)) // growing would copy each several times
	for _, p := range all {
		if group == "" || p.Spec.Group == group {
			pods = append(pods, p.view())
		}
	}
	return pods
}

// Pod reads one pod, by its name or by the beginning of its id; errdefs.IsNotFound if there is none such.
func (s *store) Pod(name string) (api.Pod, error) {
	p, err := s.read(name)
	if err == nil {
		return p.view(), nil
	}
	if !isMissing(err) || len(name) < 2 || strings.Trim(name, "0123456789abcdef") != "" {
		return api.Pod{}, err
	}
	all, listErr := s.readAll()
	if listErr != nil {
		return api.Pod{}, listErr
	}
	found := slices.DeleteFunc(all, func(p *pod) bool { return !strings.HasPrefix(p.ID, name) })
	switch len(found) {
	case 0:
		return api.Pod{}, err
	case 1:
		return found[0].view(), nil
	}
	return api.Pod{}, fault.New(errdefs.ErrInvalidArgument, "id %q is ambiguous: %d containers have it", name, len(found))
}

// read loads and refreshes one pod for looking at, without its lock.
func (s *store) read(name string) (*pod, error) {
	if !disk.IsName(name) {
		return nil, missingPod(name)
	}
	// An end that conmon has yet to note, or that nobody saw, is looked at again: somebody may have settled it between the look at the
	// state and that at the exit file, such as the exit handler, whose conmon still lives at the first look and may be gone at the second.
	for tries := 1; ; tries++ {
		p, err := s.load(name)
		if err != nil {
			return nil, err
		}
		if p.refresh(); tries == 3 || !p.ending && (!p.unrecorded || p.last.ExitKnown) {
			return p, nil
		}
	}
}

// readRunning is read for what, by its verb, needs the pod to run.
func (s *store) readRunning(verb, name string) (*pod, error) {
	p, err := s.read(name)
	if err == nil && p.state.Status != api.StatusRunning {
		err = podError(verb, name, notRunning(p))
	}
	return p, err
}

// readAll reads every pod, by name, on all processors: most of a short command's time goes into it.
func (s *store) readAll() ([]*pod, error) {
	names, err := listDir(s.e.paths.pods())
	if err != nil {
		return nil, err
	}
	pods, errs := make([]*pod, len(names)), make([]error, len(names))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(names)); i = next.Add(1) - 1 {
				pods[i], errs[i] = s.read(names[i])
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		errs[i] = unlessMissing(err)
	}
	return slices.DeleteFunc(pods, func(p *pod) bool { return p == nil }), errors.Join(errs...)
}

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

// Processes lists the processes of a running pod's container, the first one first. errdefs.IsFailedPrecondition if the pod
// does not run.
func (s *store) Processes(name string) ([]api.ProcessInfo, error) {
	p, err := s.readRunning("list the processes of", name)
	if err != nil {
		return nil, err
	}
	boot, err := kernel.BootTime()
	if err != nil {
		return nil, err
	}
	var list []api.ProcessInfo
	for _, pid := range p.run().pids() {
		if info, ok := readProcess(pid, boot); ok { // else it has just ended
			list = append(list, info)
		}
	}
	return list, nil
}

func readProcess(pid int, boot time.Time) (api.ProcessInfo, bool) {
	s, ok := kernel.StatOf(pid)
	info := api.ProcessInfo{
		Pid: pid, Parent: s.Parent, State: string(s.State), Threads: s.Threads, TTY: ttyName(s.Terminal), CPU: s.Work,
		Started: boot.Add(time.Duration(s.Start) * kernel.Tick), Virtual: s.Virtual, Resident: s.Resident, Name: s.Name, Args: kernel.Args(pid),
	}
	uid, there := kernel.UID(pid)
	info.UID = uid
	return info, ok && there
}

// ttyName names a terminal by its device number, as far as containers have such.
func ttyName(dev uint64) string {
	major, minor := unix.Major(dev), unix.Minor(dev)
	switch {
	case dev == 0:
		return ""
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", (major-136)<<20+minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	case major == 5 && minor == 1:
		return "console"
	}
	return fmt.Sprintf("%d:%d", major, minor)
}

// Usage reads what a running pod uses. errdefs.IsFailedPrecondition if it does not run.
func (s *store) Usage(name string) (api.Usage, error) {
	p, err := s.readRunning("read the usage of", name)
	if err != nil {
		return api.Usage{}, err
	}
	u := cgroups.Usage(p.run().cgroup())
	if u.Host, u.CPUs, err = kernel.CPUs(); err != nil {
		return u, err
	}
	if p.Spec.Network.Mode != api.NetworkHost {
		u.Networks = kernel.NetworkUsage(p.state.Init.Pid)
	}
	return u, nil
}
