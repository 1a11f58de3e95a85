package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/executor"
	resources "github.com/moby/buildkit/executor/resources/types"
	gateway "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/solver/pb"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/engine/host"
	"podc.example/podc/engine/oci"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// steps runs the RUN steps of builds, each in a container of its own, with the runtime, the limits, the capabilities and the seccomp
// profile that the containers of pods have. BuildKit's own executor calls the runtime with flags and with a version of the
// specification that crun 1.8.1 refuses.
type steps struct {
	dir     string // a folder for each step that runs
	state   string // of the runtime
	runtime string // path of its binary
	host    host.Host
	cgroups cgroups.Root
	network *network
}

// stepName is the host name of a step, as docker's builds have it.
const stepName = "buildkitsandbox"

// cleanPatience bounds what is done after a step, which must go on when its build has been given up.
const cleanPatience = 30 * time.Second

// Run is executor.Executor's. An end with another code than 0, or none of process.Meta.ValidExitCodes, is a *gateway.ExitError.
func (x *steps) Run(ctx context.Context, id string, root executor.Mount, mounts []executor.Mount, process executor.ProcessInfo, started chan<- struct{}) (resources.Recorder, error) {
	if started != nil {
		defer close(started) // nobody waits for a step but for its end
	}
	if id == "" {
		id = identity.NewID()
	}
	if !disk.IsName(id) {
		return nil, fault.New(errdefs.ErrInvalidArgument, "%q cannot be the name of a step", id)
	}
	if process.Meta.Tty {
		return nil, fault.New(errdefs.ErrNotImplemented, "a step of a build gets no terminal")
	}
	x.host.Cgroups.StartSlice(ctx)
	active, err := x.cgroups.Use(ctx)
	if err != nil {
		return nil, err
	}
	defer active.Unlock()
	s := &step{x: x, id: id, dir: filepath.Join(x.dir, id), meta: process.Meta}
	err = s.prepare(ctx, root, mounts)
	if err == nil {
		err = s.run(ctx, process)
	}
	clean, cancel := disk.WithDeadline(context.WithoutCancel(ctx), cleanPatience, "clearing a step away")
	defer cancel()
	return nil, errors.Join(err, s.close(clean))
}

// Exec is executor.Executor's. Only frontends that are not built in use it.
func (x *steps) Exec(context.Context, string, executor.ProcessInfo) error {
	return fault.New(errdefs.ErrNotImplemented, "no further process can be started in a step of a build")
}

// clear removes what steps left whose builder died.
func (x *steps) clear(ctx context.Context) error {
	entries, err := os.ReadDir(x.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		errs = append(errs, (&step{x: x, id: e.Name(), dir: filepath.Join(x.dir, e.Name())}).close(ctx))
	}
	return errors.Join(errs...)
}

// step is one that runs.
type step struct {
	x      *steps
	id     string
	dir    string
	meta   executor.Meta
	undo   []func() error // of what BuildKit lent, in the order in which it was lent
	mounts []specs.Mount
}

func (s *step) rootfs() string                { return filepath.Join(s.dir, "rootfs") }
func (s *step) namespace(kind string) string  { return filepath.Join(s.dir, "ns", kind) }
func (s *step) file(name string) string       { return filepath.Join(s.dir, name) }
func (s *step) lent(release func() error)     { s.undo = append(s.undo, release) }
func (s *step) target(i int, p string) string { return filepath.Join(s.dir, p+strconv.Itoa(i)) }

// prepare makes all that the step's container needs, down to its configuration.
func (s *step) prepare(ctx context.Context, root executor.Mount, mounts []executor.Mount) error {
	if err := os.MkdirAll(s.rootfs(), 0o700); err != nil {
		return err
	}
	if err := s.mountRoot(ctx, root); err != nil {
		return fmt.Errorf("cannot mount the root filesystem of a step: %w", err)
	}
	clean := executor.MountStubsCleaner(context.WithoutCancel(ctx), s.rootfs(), mounts, s.meta.RemoveMountStubsRecursive)
	s.lent(func() error { clean(); return nil })
	for i, m := range mounts {
		if err := s.mount(ctx, i, m); err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.Dest, err)
		}
	}
	c, err := s.container(root.Readonly)
	if err != nil {
		return err
	}
	if err := s.joinNetwork(ctx, &c); err != nil {
		return err
	}
	spec, err := c.Generate()
	if err != nil {
		return err
	}
	spec.Process.Env = s.meta.Env // a Dockerfile says all that a step has
	if !slices.ContainsFunc(s.meta.Env, func(v string) bool { return strings.HasPrefix(v, "HOME=") }) {
		spec.Process.Env = append(slices.Clone(s.meta.Env), "HOME="+c.User.Home)
	}
	if spec.Process.Cwd, err = s.workingDir(c); err != nil {
		return err
	}
	return disk.WriteJSON(s.file("config.json"), spec, disk.Volatile)
}

// mountRoot mounts the step's root filesystem.
func (s *step) mountRoot(ctx context.Context, root executor.Mount) error {
	mounts, err := s.borrow(ctx, root)
	if err != nil {
		return err
	}
	return mount.All(mounts, s.rootfs())
}

// borrow asks for what is to be mounted, and gives it back when the step is closed.
func (s *step) borrow(ctx context.Context, m executor.Mount) ([]mount.Mount, error) {
	source, err := m.Src.Mount(ctx, m.Readonly)
	if err != nil {
		return nil, err
	}
	mounts, release, err := source.Mount()
	if err == nil && release != nil {
		s.lent(release)
	}
	return mounts, err
}

// mount mounts what the step asked for beside its container, for the runtime to bind it. No link in it leads the selected part out of it.
func (s *step) mount(ctx context.Context, i int, m executor.Mount) error {
	mounts, err := s.borrow(ctx, m)
	if err != nil {
		return err
	}
	var whole string
	if len(mounts) == 1 && slices.Contains([]string{"bind", "rbind"}, mounts[0].Type) {
		whole = mounts[0].Source
	} else {
		whole = s.target(i, "whole-")
		if err := os.Mkdir(whole, 0o700); err != nil {
			return err
		}
		if err := mount.All(mounts, whole); err != nil {
			return err
		}
	}
	source := whole
	if part := filepath.Join("/", m.Selector); part != "/" {
		source = s.target(i, "mount-")
		if err := rootfs.MountPart(whole, part, source); err != nil {
			return err
		}
	}
	options := []string{"rbind", "rprivate"}
	if m.Readonly || len(mounts) == 1 && mounts[0].ReadOnly() {
		options = append(options, "ro")
	}
	s.mounts = append(s.mounts, specs.Mount{Destination: filepath.Join("/", m.Dest), Type: "bind", Source: source, Options: options})
	return nil
}

// container is the step as podc's own configuration of a container sees it.
func (s *step) container(readOnly bool) (oci.Container, error) {
	who, err := rootfs.LookupUser(s.rootfs(), s.meta.User, nil)
	if err != nil {
		return oci.Container{}, err
	}
	c := oci.Container{
		ID: s.id, Hostname: s.hostname(), Rootfs: s.rootfs(), User: who, Host: s.x.host.Host,
		CgroupPath: s.x.cgroups.Of(s.id, s.meta.CgroupParent),
		Spec: api.ContainerSpec{
			Entrypoint: s.meta.Args, Env: s.meta.Env, WorkingDir: s.meta.Cwd, ReadOnly: readOnly || s.meta.ReadonlyRootFS,
			Privileged: s.meta.SecurityMode == pb.SecurityMode_INSECURE, Ulimits: map[string]api.Ulimit{},
		},
		Namespaces: map[string]string{},
		Mounts:     s.mounts,
	}
	for _, l := range s.meta.Ulimit {
		c.Spec.Ulimits[l.Name] = api.Ulimit{Soft: l.Soft, Hard: l.Hard}
	}
	if r := s.meta.LinuxResources; r != nil {
		c.Spec.Resources = api.Resources{Memory: r.Memory, MemorySwap: r.MemorySwap, CPUShares: int64(r.CpuShares), CPUPeriod: int64(r.CpuPeriod), CPUQuota: r.CpuQuota,
			Cpuset: r.CpusetCpus}
	}
	return c, rootfs.ResolveTargets(s.rootfs(), c.Mounts)
}

func (s *step) hostname() string {
	if s.meta.Hostname != "" {
		return s.meta.Hostname
	}
	return stepName
}

// workingDir makes the step's working directory where it is missing, as WORKDIR has it for the step's user.
func (s *step) workingDir(c oci.Container) (string, error) {
	dir, err := rootfs.ResolveWorkingDir(s.rootfs(), c.Mounts, filepath.Join("/", s.meta.Cwd))
	if err != nil {
		return "", err
	}
	place := filepath.Join(s.rootfs(), dir) // without links
	if disk.Exists(place) {
		return dir, nil
	}
	if err := rootfs.Mkdir(s.rootfs(), dir); err != nil {
		return "", fmt.Errorf("cannot make the working directory %s: %w", dir, err)
	}
	return dir, os.Lchown(place, c.User.UID, c.User.GID)
}

// joinNetwork gives the step its namespaces and the files that go with its network.
func (s *step) joinNetwork(ctx context.Context, c *oci.Container) error {
	kinds := []string{"net", "ipc", "uts"}
	if s.meta.NetMode == pb.NetMode_HOST {
		kinds = kinds[1:]
	}
	if err := kernel.PinNamespaces(s.namespace, kinds, c.Hostname, ""); err != nil {
		return err
	}
	for _, kind := range kinds {
		c.Namespaces[kind] = s.namespace(kind)
	}
	joined, err := s.x.network.join(ctx, s.id, s.namespace("net"), s.meta.NetMode)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"hosts": hostsFile(c.Hostname, joined, s.meta.ExtraHosts), "resolv.conf": resolvFile(s.meta.NetMode)} {
		if err := os.WriteFile(s.file(name), content, 0o644); err != nil {
			return err
		}
		c.Etc = append(c.Etc, specs.Mount{Destination: "/etc/" + name, Type: "bind", Source: s.file(name), Options: []string{"rbind", "rprivate", "ro"}})
	}
	return rootfs.ResolveTargets(s.rootfs(), c.Etc)
}

// run runs the step's container to its end.
func (s *step) run(ctx context.Context, process executor.ProcessInfo) error {
	cmd := child.Command(context.WithoutCancel(ctx), s.x.runtime, "--root", s.x.state, "run", "--bundle", s.dir, s.id)
	cmd.Env = []string{host.Path}
	cmd.Stdout, cmd.Stderr = process.Stdout, process.Stderr
	cmd.WaitDelay = cleanPatience
	if process.Stdin != nil {
		cmd.Stdin = process.Stdin
	} else {
		none, err := child.Ended()
		if err != nil {
			return err
		}
		defer none.Close()
		cmd.Stdin = none
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot run %s: %w", s.x.runtime, err)
	}
	unwatch := context.AfterFunc(ctx, func() { s.kill() })
	err := cmd.Wait()
	unwatch()
	if ctx.Err() != nil {
		return &gateway.ExitError{ExitCode: gateway.UnknownExitStatus, Err: context.Cause(ctx)}
	}
	return s.exit(err)
}

// exit is how the step ended, by how the runtime did.
func (s *step) exit(err error) error {
	code := 0
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended) && ended.Exited():
		code = ended.ExitCode()
	case errors.As(err, &ended):
		return &gateway.ExitError{ExitCode: gateway.UnknownExitStatus, Err: err}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return err
	}
	valid := s.meta.ValidExitCodes
	if valid == nil {
		valid = []int{0}
	}
	if slices.Contains(valid, code) {
		return nil
	}
	return &gateway.ExitError{ExitCode: uint32(code)}
}

// kill ends the step's container, if it has been made by now.
func (s *step) kill() {
	for end := time.Now().Add(cleanPatience); time.Now().Before(end); <-time.After(20 * time.Millisecond) { // it may be about to be made
		cmd := child.Command(context.Background(), s.x.runtime, "--root", s.x.state, "kill", s.id, "KILL")
		cmd.Env = []string{host.Path}
		if cmd.Run() == nil || !disk.Exists(filepath.Join(s.dir, "config.json")) {
			return
		}
	}
}

// close takes away what the step made, the runtime's container first. Idempotent.
func (s *step) close(ctx context.Context) error {
	os.Remove(s.file("config.json"))
	var errs []error
	if known := filepath.Join(s.x.state, s.id); disk.Exists(known) { // it was not run to its end
		cmd := child.Command(ctx, s.x.runtime, "--root", s.x.state, "delete", "--force", s.id)
		cmd.Env = []string{host.Path}
		out, err := cmd.CombinedOutput()
		if err != nil && disk.Exists(known) { // else its own runtime, which waited for its end, was quicker
			errs = append(errs, fmt.Errorf("cannot remove the container of a step: %w: %s", err, strings.TrimSpace(string(out))))
		}
	}
	errs = append(errs, cgroups.Remove(s.x.cgroups.Of(s.id, s.meta.CgroupParent)), s.x.network.leave(ctx, s.id), kernel.UnpinNamespaces(s.file("ns")))
	for _, release := range slices.Backward(s.undo) {
		errs = append(errs, release())
	}
	mounts, err := rootfs.MountsBelow(s.dir)
	errs = append(errs, err)
	for _, m := range slices.Backward(mounts) {
		errs = append(errs, disk.Unmount(m))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot clear a step of a build away: %w", err)
	}
	return disk.RemoveTree(s.dir)
}
