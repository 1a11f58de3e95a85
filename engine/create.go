package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/oci"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// CreatePod makes a pod of spec over img, without starting it: its record, volumes, root filesystem and files. A pod of that
// name is an error (errdefs.IsAlreadyExists). Should this process die on the way, the pod is seen as StatusCreating and
// RemovePod clears it away.
func (e *Engine) CreatePod(ctx context.Context, spec api.PodSpec, img api.Image) error {
	if err := checkSpec(spec, img); err != nil {
		return podError("create", spec.Name, err)
	}
	files, err := rootfs.LoadFiles(spec.Container.Files)
	if err != nil {
		return podError("create", spec.Name, err)
	}
	l, err := e.lockPod(ctx, spec.Name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if _, err := os.Stat(e.paths.spec(spec.Name)); err == nil {
		return podError("create", spec.Name, fault.New(errdefs.ErrAlreadyExists, "the container name %q is already in use", spec.Name))
	}
	spec.MapBorrowed(func(b api.Borrowed) string { return e.nameOf(b.Of) })
	p := &pod{e: e, record: record{ID: api.NewID(), Created: time.Now(), Spec: spec, Image: img}}
	if p.From, err = e.mountsFrom(spec); err != nil {
		return podError("create", spec.Name, err)
	}
	if err := p.files().nameVolumes(); err != nil {
		return podError("create", spec.Name, err)
	}
	p.state.Status, p.state.Settled = api.StatusCreating, true
	// The intent, with every name that will be made, comes before the first effect, and the state before the record: one
	// without a state would count as made.
	if err = p.save(); err == nil {
		err = p.saveRecord()
	}
	if err == nil {
		err = p.make(ctx, files)
	}
	if err == nil {
		p.state.Status = api.StatusCreated
		err = p.save()
	}
	if err != nil {
		return podError("create", spec.Name, errors.Join(err, p.remove(ctx, api.RemoveOptions{})))
	}
	p.note("create", nil)
	return nil
}

func podError(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot %s %q: %w", verb, name, err)
}

// checkSpec refuses what can be known to be wrong before anything is made.
func checkSpec(s api.PodSpec, img api.Image) error {
	if !disk.IsName(s.Name) {
		return fault.New(errdefs.ErrInvalidArgument, "the name is not valid")
	}
	if s.Group == "" || !disk.IsName(s.Group) {
		return fault.New(errdefs.ErrInvalidArgument, "group %q is not valid", s.Group)
	}
	if err := checkValues(s); err != nil {
		return err
	}
	if len(img.Layers) == 0 {
		return fault.New(errdefs.ErrInvalidArgument, "image %q is not resolved", s.Container.Image)
	}
	return nil
}

func (p *pod) saveRecord() error {
	dir := p.e.paths.pod(p.Spec.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	durability := disk.Durable
	if p.Spec.AutoRemove {
		durability = disk.Volatile // a power cut is the end of its run, and of the pod
	}
	return disk.WriteJSON(p.e.paths.spec(p.Spec.Name), &p.record, durability)
}

// nameVolumes decides which volume stands behind each target, anonymous ones included: those of the spec and those that the
// image declares and nothing else covers.
func (p podFiles) nameVolumes() error {
	p.Volumes = map[string]string{}
	covered := map[string]bool{}
	for _, m := range p.mounts() {
		covered[path.Clean(m.Target)] = true
		if m.Type == api.MountVolume {
			p.Volumes[m.Target] = cmp.Or(m.Source, api.NewID())
		}
	}
	for _, target := range p.Image.Config.Volumes {
		if covered[path.Clean(target)] {
			continue
		}
		if err := rootfs.CheckImageVolume(target); err != nil {
			return err
		}
		p.Volumes[target] = api.NewID()
	}
	return nil
}

// make makes what the record promises.
func (p *pod) make(ctx context.Context, files []api.File) error {
	if err := os.MkdirAll(p.e.paths.bundle(p.Spec.Name), 0o700); err != nil {
		return err
	}
	if err := p.network().keepAddresses(ctx, true); err != nil {
		return err
	}
	if err := rootfs.WriteFiles(p.e.paths.files(p.Spec.Name), files); err != nil {
		return err
	}
	if err := p.files().mount(); err != nil {
		return err
	}
	if err := p.files().checkTargets(); err != nil {
		return err
	}
	return errors.Join(p.files().makeVolumes(ctx, false), p.files().releaseVolumes(ctx))
}

func (p podFiles) mount() error {
	pp, name := p.e.paths, p.Spec.Name
	o := rootfs.Overlay{Layers: p.Image.Layers, Diff: pp.diff(name), Work: pp.work(name), Volatile: p.Spec.AutoRemove, UserXattrs: p.e.host().UserXattrs}
	if err := rootfs.Mount(o, pp.merged(name)); err != nil {
		return err
	}
	return rootfs.Check(pp.merged(name))
}

// volumeMounts are the volume mounts of the pod followed by those the image declares.
func (p podFiles) volumeMounts() []api.Mount {
	list := slices.DeleteFunc(p.mounts(), func(m api.Mount) bool { return m.Type != api.MountVolume })
	return append(list, p.imageVolumes()...)
}

// imageVolumes are the mounts of volumes that only the image declares.
func (p podFiles) imageVolumes() []api.Mount {
	var list []api.Mount
	for _, target := range p.Image.Config.Volumes {
		named := func(m api.Mount) bool { return m.Type == api.MountVolume && m.Target == target }
		if p.Volumes[target] != "" && !slices.ContainsFunc(p.mounts(), named) {
			list = append(list, api.Mount{Type: api.MountVolume, Target: target})
		}
	}
	return list
}

// makeVolumes makes the volumes that are not there yet, and fills the empty ones from the image. Before a start those that are
// there are left alone: by then the root filesystem has mount points that are none of the image's.
func (p podFiles) makeVolumes(ctx context.Context, again bool) error {
	for _, m := range p.volumeMounts() {
		if _, err := p.e.volumes.Get(p.Volumes[m.Target]); again && !errdefs.IsNotFound(err) {
			if err != nil {
				return err
			}
			continue
		}
		v := api.Volume{Name: p.Volumes[m.Target], Labels: m.Labels, Anonymous: m.Source == ""}
		if _, err := p.e.volumes.Create(ctx, v); err != nil {
			return err
		}
		if m.NoCopy || m.Subpath != "" {
			continue
		}
		source, err := rootfs.RealPath(p.e.paths.merged(p.Spec.Name), m.Target)
		if fi, serr := os.Stat(source); err != nil || serr != nil || !fi.IsDir() {
			continue // the image has no folder there: the volume stays as it is
		}
		if err := p.e.volumes.Mount(ctx, v.Name); err != nil {
			return err
		}
		if err := p.e.volumes.Seed(ctx, v.Name, source); err != nil {
			return err
		}
	}
	return nil
}

// RemovePod removes a pod that is not running, and everything made for it. Idempotent: a pod that does not exist is fine.
// A running one is an error (errdefs.IsFailedPrecondition) unless forced.
func (e *Engine) RemovePod(ctx context.Context, name string, opt api.RemoveOptions) error {
	if opt.Force {
		if err := unlessMissing(e.stopPod(ctx, name, stopRequest{timeout: new(time.Duration(0))})); err != nil {
			return err
		}
	}
	err := e.update(ctx, name, func(p *pod) error {
		switch {
		case p.run().paused():
			return fault.New(errdefs.ErrFailedPrecondition, "it is paused; unpause and stop it first")
		case p.state.Status == api.StatusRunning:
			return fault.New(errdefs.ErrFailedPrecondition, "it is running; stop it first")
		}
		return p.remove(ctx, opt)
	})
	if isMissing(err) {
		return e.emptyTrash()
	}
	return podError("remove", name, err)
}

// remove needs the pod's lock. It tries everything, and the record goes last but one, so that a remove cut short is seen
// and can be repeated.
func (p *pod) remove(ctx context.Context, opt api.RemoveOptions) error {
	pp, name := p.e.paths, p.Spec.Name
	unborn := p.state.Status == api.StatusCreating
	if p.unrecorded { // it was halted to be removed: nobody asks any more how it ended
		p.noteEnd()
		p.note("stop", nil)
	}
	if p.state.Status != api.StatusRemoving {
		p.state.Status = api.StatusRemoving
		// Without volumes that go too, there is nothing of which a removal cut short could leave one half.
		if opt.Volumes && len(p.Volumes) > 0 {
			if err := p.save(); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(p.settle(ctx), p.network().keepAddresses(ctx, false), p.files().unmountOwn(), disk.Unmount(pp.merged(name)), rootfs.RemoveFiles(pp.files(name))); err != nil {
		return err
	}
	if err := p.files().removeVolumes(ctx, func(m api.Mount) bool { return opt.Volumes || unborn && m.Source == "" }); err != nil {
		return err
	}
	if err := pp.discard(pp.pod(name), p.ID); err != nil {
		return err
	}
	p.state.Status = statusGone
	if !unborn {
		p.note("destroy", nil)
	}
	err := p.e.removeRunDir(name)
	p.e.deleteTrash(p.ID) // what cannot go, Check tells: the pod is gone
	return err
}

// removeVolumes removes those of the pod's anonymous volumes that go says go.
func (p podFiles) removeVolumes(ctx context.Context, goes func(api.Mount) bool) error {
	for _, m := range p.volumeMounts() {
		v, err := p.e.volumes.Get(p.Volumes[m.Target])
		if err != nil || !v.Anonymous || !goes(m) {
			continue
		}
		if users, err := p.e.usersOf(v.Name, p.Spec.Name); err != nil || len(users) > 0 {
			continue // it goes with the last who has it from this pod
		}
		if err := p.e.volumes.Remove(ctx, v.Name); err != nil {
			return err
		}
	}
	return nil
}

// discard makes a folder vanish with one rename; its files, which may be many, go after. Idempotent.
func (p paths) discard(dir, as string) error {
	for {
		err := os.MkdirAll(p.trash(), 0o700)
		if err == nil {
			err = os.Rename(dir, filepath.Join(p.trash(), as))
		}
		if errors.Is(err, unix.ENOSPC) {
			return disk.RemoveTree(dir) // a full disk has no room for a trash
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := os.Lstat(dir); err != nil {
			return nil
		}
		// The folder is there, so it is the trash that somebody has just found empty, and removed.
	}
}

// removeRunDir removes the pod's folder in RUN. It needs the pod's lock, whose file goes last: who waits for it notices and starts
// over, with a folder that may be this one, of which nothing more is removed then.
func (s *store) removeRunDir(name string) error {
	if !disk.IsName(name) {
		return nil
	}
	dir, lock := s.e.paths.runPod(name), s.e.paths.podLock(name)
	errs := []error{kernel.UnpinNamespaces(filepath.Join(dir, "ns")), rootfs.RemoveFiles(s.e.paths.files(name)), rootfs.RemoveFiles(s.e.paths.shm(name))}
	names, err := listDir(dir)
	for _, n := range names {
		if path := filepath.Join(dir, n); path != lock {
			errs = append(errs, disk.RemoveTree(path))
		}
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	for _, path := range []string{lock, dir} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

// emptyTrash deletes what removed pods left. Idempotent, and harmless beside another process doing the same.
func (s *store) emptyTrash() error {
	trash, err := s.e.paths.trashed()
	errs := []error{err}
	for _, id := range trash {
		errs = append(errs, s.deleteTrash(id))
	}
	os.Remove(s.e.paths.trash())
	return errors.Join(errs...)
}

// deleteTrash deletes what one removed pod left, and leaves the trash itself to emptyTrash.
func (s *store) deleteTrash(name string) error {
	return disk.RemoveTree(filepath.Join(s.e.paths.trash(), name))
}

// hostNames are those by which others know the pod's host name, if it was given one: alone, and with the domain.
func (p podNetwork) hostNames() []string {
	host, domain := p.Spec.Hostname, p.Spec.Domainname
	switch {
	case host == "" || p.Spec.Network.Unnamed:
		return nil
	case domain == "":
		return []string{host}
	}
	return []string{host, host + "." + domain}
}

// attachment is what the pod asks of the network.
func (p podNetwork) attachment() api.Attachment {
	n := p.Spec.Network
	names := slices.Concat([]string{p.Spec.Name, p.ID[:12]}, p.hostNames(), n.Names) // the first is that of its address
	ports := n.Ports
	if len(p.state.Ports) == len(n.Ports) {
		ports = p.state.Ports // a restart keeps what was chosen
	}
	return api.Attachment{
		ID: p.ID, Owner: p.Spec.Name, NetNS: p.e.paths.ns(p.Spec.Name, "net"),
		Names: names, Endpoints: n.Endpoints, Ports: ports, DNS: n.DNS, Links: n.Links,
	}
}

// checkTargets refuses, before the first start, what links in the image make of the pod's targets.
func (p podFiles) checkTargets() error {
	var mounts []specs.Mount
	for _, m := range append(p.mounts(), p.imageVolumes()...) {
		mounts = append(mounts, specs.Mount{Destination: m.Target}) // what is in it, the start looks at
	}
	for _, f := range p.Spec.Container.Files {
		mounts = append(mounts, specs.Mount{Destination: f.Target})
	}
	oci.ParentsFirst(mounts)
	return rootfs.ResolveTargets(p.e.paths.merged(p.Spec.Name), mounts)
}
