package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/oci"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// lenders are the pods without which the pod cannot run: those whose namespaces it shares.
func lenders(s api.PodSpec) []string {
	var names []string
	for _, b := range s.Borrowed() {
		if b.What != api.BorrowVolumes && !slices.Contains(names, b.Of) {
			names = append(names, b.Of)
		}
	}
	return names
}

// checkBorrowed refuses to borrow from a pod that is neither here nor among those to be made, or that does not lend.
func (c *possible) checkBorrowed(p api.PodSpec, made []api.PodSpec) error {
	var errs []error
	for _, b := range p.Borrowed() {
		var of api.PodSpec
		if i := slices.IndexFunc(made, func(m api.PodSpec) bool { return m.Name == b.Of }); i >= 0 {
			of = made[i]
		} else if have, err := c.e.read(c.e.nameOf(b.Of)); err != nil {
			errs = append(errs, fmt.Errorf("it uses the %s of container %q: %w", b.What, b.Of, err))
			continue
		} else {
			of = have.Spec
		}
		if b.What == api.BorrowIPC && of.IPC.Mode != api.NamespaceShareable {
			errs = append(errs, fault.New(errdefs.ErrFailedPrecondition, "it uses the %s of container %q, which does not lend it (ipc: shareable would)", b.What, b.Of))
		}
	}
	return errors.Join(errs...)
}

// nameOf is the name of the pod that somebody named by the beginning of its id; else what was given.
func (s *store) nameOf(nameOrID string) string {
	if p, err := s.Pod(nameOrID); err == nil {
		return p.Spec.Name
	}
	return nameOrID
}

// sharers lists the running pods that use namespaces of name which outlive its processes: all but that of processes. Each has
// left its name with that pod before it started; a name alone says little.
func (s *store) sharers(name string) ([]string, error) {
	lends := func(b api.Borrowed) bool {
		return b.Of == name && b.What != api.BorrowVolumes && b.What != api.BorrowPID
	}
	var list []string
	names, err := listDir(s.e.paths.sharers(name))
	for _, sharer := range names {
		p, err := s.read(sharer)
		if err == nil && p.state.Status == api.StatusRunning && slices.ContainsFunc(p.Spec.Borrowed(), lends) {
			list = append(list, sharer)
		}
	}
	return list, err
}

// beSharerOf leaves the pod's name with one whose namespaces it uses.
func (p podNetwork) beSharerOf(owner string) error {
	dir := p.e.paths.sharers(owner)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.WriteFile(filepath.Join(dir, p.Spec.Name), nil, 0o600)
}

// namespaceOwners names, by kind, the pods whose pinned namespaces the pod's container lives in; the host's are absent.
func (p podNetwork) namespaceOwners() map[string]string {
	s := p.Spec
	owners := map[string]string{}
	switch s.Network.Mode {
	case api.NetworkPrivate:
		owners["net"] = s.Name
	case api.NetworkPod:
		owners["net"] = s.Network.Pod
	}
	for kind, n := range map[string]api.Namespace{"ipc": s.IPC, "uts": s.UTS} {
		switch n.Mode {
		case api.NamespaceHost:
		case api.NamespacePod:
			owners[kind] = n.Pod
		default:
			owners[kind] = s.Name
		}
	}
	return owners
}

// namespacePaths are the namespaces that the runtime has to join, by kind; the host's are absent, and so is a pid namespace of
// the container's own, which the runtime makes.
func (p podNetwork) namespacePaths() (map[string]string, error) {
	paths := map[string]string{}
	for kind, owner := range p.namespaceOwners() {
		paths[kind] = p.e.paths.ns(owner, kind)
		if !kernel.IsNamespace(paths[kind]) {
			return nil, notLent(kind+" namespace", owner)
		}
	}
	if p.Spec.PID.Mode == api.NamespacePod {
		of, err := p.e.read(p.Spec.PID.Pod)
		if err != nil {
			return nil, err
		}
		if of.state.Status != api.StatusRunning {
			return nil, notLent("pid namespace", p.Spec.PID.Pod)
		}
		paths["pid"] = kernel.NamespaceOf(of.state.Init.Pid, "pid")
	}
	return paths, nil
}

func notLent(what, owner string) error {
	return fault.New(errdefs.ErrFailedPrecondition, "it shares the %s of %q, which is not running", what, owner)
}

// mountShm provides the /dev/shm of a pod whose ipc namespace others may join. It says where the container's is: "" is a new
// one, "none" none at all.
func (p podFiles) mountShm() (string, error) {
	switch ipc := p.Spec.IPC; ipc.Mode {
	case api.NamespaceNone:
		return "none", nil
	case api.NamespaceHost:
		return "/dev/shm", nil
	case api.NamespacePod:
		return p.e.paths.shm(ipc.Pod), nil
	case api.NamespaceShareable:
		dir := p.e.paths.shm(p.Spec.Name)
		return dir, rootfs.MountShm(dir, oci.ShmSize(p.Spec.Container))
	}
	return "", nil
}
