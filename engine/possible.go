package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/host"
	"podc.example/podc/engine/oci"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/volumes"
)

// possible says what cannot be had of the host, before anything is made.
type possible struct{ e *Engine }

// CheckPods fails with every value of the specs that is wrong, and with everything that this host cannot give: names that other
// groups have taken, sources of binds, devices, capabilities, limits, seccomp profiles, settings of the kernel. It is for before
// anything is made; a creation or a start finds the same again.
func (c *possible) CheckPods(_ context.Context, pods []api.PodSpec) error {
	var errs []error
	for _, p := range pods {
		errs = append(errs, podError("create", p.Name, errors.Join(c.checkName(p), c.checkCgroupParent(p), checkPossible(p, c.e.host()), c.checkBorrowed(p, pods))))
	}
	return errors.Join(errs...)
}

// checkName refuses the name of a pod of another group.
func (c *possible) checkName(p api.PodSpec) error {
	if _, err := os.Stat(c.e.paths.spec(p.Name)); err != nil {
		return nil
	}
	have, err := c.e.read(p.Name)
	if err != nil || have.Spec.Group == p.Group {
		return nil // the plan has seen it, and knows what to do
	}
	return fault.New(errdefs.ErrAlreadyExists, "the container name %q is already in use by container %.12s of project %q", p.Name, have.ID, have.Spec.Group)
}

func checkPossible(p api.PodSpec, on host.Host) error {
	errs := []error{checkValues(p), host.CheckSysctls(p)}
	for _, m := range p.Container.Mounts {
		switch m.Type {
		case api.MountBind:
			errs = append(errs, checkSource(m))
		case api.MountTmpfs:
			errs = append(errs, host.CheckTmpfs(m))
		}
		if m.AllReadOnly && !on.RecursiveReadOnly {
			errs = append(errs, fault.New(errdefs.ErrFailedPrecondition, "the kernel cannot make all below %s read-only (Linux 5.12 can)", m.Source))
		}
		errs = append(errs, checkPropagation(m))
	}
	c := oci.Container{Spec: p.Container, Host: on.Host}
	var devicesErr, blockErr error
	c.Spec.Devices, c.Devices, devicesErr = host.DeviceNodes(p.Container.Devices)
	c.BlockIO, blockErr = host.BlockIO(p.Container.Resources.BlockIO, c.Host)
	_, resourcesErr := c.Resources()
	_, rlimitsErr := c.Rlimits()
	return errors.Join(append(errs, devicesErr, blockErr, host.CheckLog(p.Container.Log), host.CheckSecurity(c), checkPaths(p.Container),
		host.CheckCpuset(p.Container.Resources.Cpuset), resourcesErr, c.CheckOOMScore(), rlimitsErr,
		oci.CheckArguments(slices.Concat(api.EffectiveCommand(c.Spec, api.ImageConfig{})), c.Spec.Env, c.Stack()))...)
}

// checkPaths refuses targets that lie in a file, and with the working directory what lies where only the kernel makes anything.
func checkPaths(spec api.ContainerSpec) error {
	var targets, places []string
	files := map[string]bool{}
	for _, f := range spec.Files {
		targets, files[path.Clean(f.Target)] = append(targets, f.Target), true
	}
	for _, m := range spec.Mounts {
		fi, err := os.Stat(m.Source)
		targets, files[path.Clean(m.Target)] = append(targets, m.Target), m.Type == api.MountBind && m.Subpath == "" && err == nil && !fi.IsDir()
	}
	var errs []error
	for _, target := range targets {
		for above := path.Dir(path.Clean(target)); above != "/" && above != "."; above = path.Dir(above) {
			if files[above] {
				errs = append(errs, fault.New(errdefs.ErrInvalidArgument, "cannot mount at %s: %s lies in %s, which is a file", target, target, above))
				break
			}
		}
	}
	if places = targets; spec.WorkingDir != "" {
		places = append(places, spec.WorkingDir)
	}
	for _, p := range places {
		if host.KernelLacks(path.Clean(p)) {
			errs = append(errs, fault.New(errdefs.ErrInvalidArgument, "the kernel has nothing at %s, and lets nobody make it", p))
		}
	}
	return errors.Join(errs...)
}

// checkCgroupParent refuses the cgroups of another root, which takes all that is in them for its own.
func (c *possible) checkCgroupParent(p api.PodSpec) error {
	if c.e.paths.cgroups().Foreign(p.Container.CgroupParent) {
		return fault.New(errdefs.ErrInvalidArgument, "the parent cgroup %q is a cgroup of another root of podc: choose another name", p.Container.CgroupParent)
	}
	return nil
}

// CheckVolumes fails with every volume whose folder on the host does not exist.
func (*possible) CheckVolumes(list []api.Volume) error {
	var errs []error
	for _, v := range list {
		errs = append(errs, volumes.CheckSource(v))
	}
	return errors.Join(errs...)
}

// CheckCommand fails with errdefs.ErrInvalidArgument if neither a pod nor its image says what to run. A start finds the same again.
func (*possible) CheckCommand(p api.PodSpec, img api.ImageConfig) error {
	return podError("create", p.Name, oci.CheckCommand(slices.Concat(api.EffectiveCommand(p.Container, img)), p.Container.Image))
}

// CheckPrograms fails with every program that pods of these runtimes, "" meaning the default, need and the host lacks, and warns of what
// another runtime stands in for.
func (c *possible) CheckPrograms(ctx context.Context, runtimes []string) (warnings []string, err error) {
	return c.e.programs.Check(ctx, runtimes)
}

// TryRootfs mounts a root filesystem as pods get it, where pods get it, and lets it go again. Its error says what the file
// system of the data root, the kernel, or the rights of this process do not give.
func (c *possible) TryRootfs(context.Context) (err error) {
	above := c.e.paths.data
	for !isFolder(above) && above != filepath.Dir(above) {
		above = filepath.Dir(above)
	}
	dir, err := os.MkdirTemp(above, ".podc-try-")
	if err != nil {
		return fmt.Errorf("cannot write to the data root: %w", err)
	}
	defer func() { err = errors.Join(err, disk.Unmount(filepath.Join(dir, "merged")), os.RemoveAll(dir)) }()
	layer := filepath.Join(dir, "layer")
	if err := os.Mkdir(layer, 0o755); err != nil {
		return err
	}
	o := rootfs.Overlay{Layers: []string{layer}, Diff: filepath.Join(dir, "diff"), Work: filepath.Join(dir, "work"), Volatile: true, UserXattrs: c.e.host().UserXattrs}
	if err := rootfs.Mount(o, filepath.Join(dir, "merged")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "merged", "file"), nil, 0o600)
}

func isFolder(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}
