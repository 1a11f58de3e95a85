package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
)

// Checker knows which invariants there are, and mends those that are broken.
type Checker struct{ e *Engine }

// Check lists every broken invariant of this pair of roots: whatever carries the root's id, or lies in its folders, and
// belongs to nothing that lives. It changes nothing. What another process is making at this moment is not broken.
func (c Checker) Check(ctx context.Context) ([]api.Problem, error) {
	findings, err := c.findings(true)
	var problems []api.Problem
	for _, f := range findings {
		problems = append(problems, f.Problem)
	}
	ofNet, netErr := c.e.net.Check(ctx, c.aliveID())
	return append(problems, ofNet...), errors.Join(err, netErr)
}

// Repair mends what Check lists and returns what it mended. It is safe beside running commands: what belongs to a pod is
// looked at again under that pod's lock. Idempotent.
func (c Checker) Repair(ctx context.Context) ([]api.Problem, error) {
	ofNet, err := c.e.net.Check(ctx, c.aliveID())
	mended, repairErr := c.repair(ctx, true)
	left, leftErr := c.e.net.Check(ctx, c.aliveID())
	for _, p := range ofNet {
		if !slices.Contains(left, p) {
			mended = append(mended, p)
		}
	}
	return mended, errors.Join(err, repairErr, leftErr)
}

// repair mends what was left over and, if all is asked for, also what may be worth a look before.
func (c Checker) repair(ctx context.Context, all bool) ([]api.Problem, error) {
	findings, err := c.findings(all)
	errs := []error{err}
	var mended []api.Problem
	for _, f := range findings {
		if f.mend == nil || f.drastic && !all {
			continue
		}
		if err := f.mend(ctx); err != nil {
			errs = append(errs, fmt.Errorf("cannot clear away %s %s: %w", f.Kind, f.Object, err))
			continue
		}
		mended = append(mended, f.Problem)
	}
	errs = append(errs, c.detachDead(ctx), c.e.net.GC(ctx, nil), c.removeIdleCgroups(ctx))
	return mended, errors.Join(errs...)
}

// detachDead gives back the networks of pods that are gone or at rest.
func (c Checker) detachDead(ctx context.Context) error {
	ids, err := c.e.net.AttachmentIDs() // before the pods: each has its pod's record before
	if err != nil || len(ids) == 0 {
		return err
	}
	pods, err := c.e.readAll()
	if err != nil {
		return err
	}
	byID := map[string]*pod{}
	for _, p := range pods {
		byID[p.ID] = p
	}
	var errs []error
	for _, id := range ids {
		switch p := byID[id]; {
		case p == nil:
			errs = append(errs, c.e.net.Detach(ctx, id))
		case atRest(p):
			mend := c.under(p.Spec.Name, func(p *pod) bool { return atRest(p) && p.ID == id }, func(ctx context.Context, _ *pod) error {
				return c.e.net.Detach(ctx, id)
			})
			errs = append(errs, mend(ctx))
		}
	}
	return errors.Join(errs...)
}

// Tidy ends what a command did to group: it clears away what processes that died before left, and, once the group has no pod
// any more, waits until nothing of it runs. Idempotent.
func (e *Engine) Tidy(ctx context.Context, group string) error {
	pods, err := e.Pods(group)
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		err = e.Monitors().AwaitEnd(ctx, group)
	}
	_, repairErr := e.Checker().repair(ctx, false)
	return errors.Join(err, repairErr, e.emptyTrash()) // its folder may be all that is left
}

// finding is a Problem and the way to mend it; nil if that is for people to decide.
type finding struct {
	api.Problem
	mend    func(context.Context) error
	drastic bool // not done unasked
}

// search is one look for what is broken.
type search struct {
	Checker
	inventory
	pods   []*pod
	byID   map[string]*pod
	groups map[string]bool
	names  map[string]bool // of pods
	found  []finding
}

func (s *search) add(kind, object, detail string, mend func(context.Context) error) {
	s.found = append(s.found, finding{Problem: api.Problem{Kind: kind, Object: object, Detail: detail}, mend: mend})
}

// findings looks for what is broken, and with all also into files that are not read for anything else.
func (c Checker) findings(all bool) ([]finding, error) {
	inv, invErr := c.takeInventory()
	pods, err := c.e.readAll()
	if err := errors.Join(invErr, err); err != nil {
		return nil, err
	}
	s := &search{Checker: c, inventory: inv, pods: pods, byID: map[string]*pod{}, groups: map[string]bool{}, names: map[string]bool{}}
	for _, p := range pods {
		s.byID[p.ID], s.groups[p.Spec.Group], s.names[p.Spec.Name] = p, true, true
	}
	s.brokenPods()
	s.damagedPods()
	if all {
		s.damagedFiles()
	}
	s.strayDirs()
	s.strayRuntime()
	s.strayMounts()
	s.strayProcesses()
	s.strayMonitors()
	if len(pods) == 0 {
		if parent := c.e.paths.cgroups().Stray(); parent != "" {
			s.add("cgroup", parent, "of a root without containers", c.removeIdleCgroups)
		}
	}
	for _, t := range inv.trash {
		s.add("file", t, "removed container whose files are still there", func(context.Context) error { return c.e.emptyTrash() })
	}
	err = errors.Join(s.keptForNobody(), s.strayVolumes())
	return s.found, err
}

// keptForNobody finds addresses that networks keep for pods that do not exist.
func (s *search) keptForNobody() error {
	networks, err := s.e.net.Networks()
	for _, n := range networks {
		for owner := range n.Kept {
			if !disk.IsName(owner) || s.names[owner] || s.held(owner) {
				continue // a group's, or of a pod that is being made or goes
			}
			s.add("address", fmt.Sprint(n.Kept[owner]), fmt.Sprintf("kept on network %q for %q, which does not exist", n.Name, owner),
				s.withoutPod(owner, func() error { return s.e.net.KeepAddresses(context.Background(), n.Name, owner, nil) }))
		}
	}
	return err
}

// strayVolumes finds volumes that are mounted and used by nobody, folders that are none, and records that cannot be read.
func (s *search) strayVolumes() error {
	volumes := s.e.volumes
	for _, v := range volumes.Mounted() {
		busy := func() bool { return s.e.volumeBusy(v, "") }
		if !busy() {
			s.add("mount", volumes.Path(v), "of a volume that no running container uses",
				func(ctx context.Context) error { return volumes.Release(ctx, v, busy) })
		}
	}
	strays, err := volumes.Strays()
	for v, leftOver := range strays {
		if leftOver {
			s.add("volume", v, "folder or lock without a record", func(ctx context.Context) error { return volumes.RemoveStray(ctx, v) })
		} else {
			s.add("volume", v, "folder with data and without a record: podc leaves it ("+filepath.Dir(volumes.Path(v))+")", nil)
		}
	}
	for v, damage := range volumes.Damaged() {
		s.add("volume", v, fmt.Sprintf("%v; its data is in %s: keep a copy of what counts, then podc volume rm %s", damage, volumes.Path(v), v), nil)
	}
	return err
}

// withoutPod mends what bears the name of a pod that does not exist: under the lock of that name, so that it is not made
// meanwhile.
func (c Checker) withoutPod(name string, mend func() error) func(context.Context) error {
	return func(ctx context.Context) error {
		l, err := c.e.lockPod(ctx, name)
		if err != nil {
			return err
		}
		defer l.Unlock()
		if _, err := os.Stat(c.e.paths.spec(name)); err == nil {
			return nil
		}
		return errors.Join(mend(), c.e.removeRunDir(name)) // taking the lock has made the folder anew
	}
}

// under mends what belongs to a pod: under its lock, if stale still holds. A pod that is gone meanwhile took it along.
func (c Checker) under(name string, stale func(*pod) bool, mend func(context.Context, *pod) error) func(context.Context) error {
	return func(ctx context.Context) error {
		return unlessMissing(c.e.update(ctx, name, func(p *pod) error {
			if !stale(p) {
				return nil
			}
			return mend(ctx, p)
		}))
	}
}

// held reports whether somebody is at work on the pod.
func (c Checker) held(name string) bool { return disk.Held(c.e.paths.podLock(name)) }

// atRest is a pod of whose runs nothing may be left.
func atRest(p *pod) bool { return p.state.Settled }

// halfMade is a pod that a process died over, if its lock is free.
func halfMade(p *pod) bool {
	return p.state.Status == api.StatusCreating || p.state.Status == api.StatusRemoving
}

// brokenPods are those that a dead process left half made, half started, half removed, or to be removed.
func (s *search) brokenPods() {
	for _, p := range s.pods {
		name := p.Spec.Name
		if !halfMade(p) && !unsettled(p) && !s.leftOver(p) || s.held(name) {
			continue
		}
		// Somebody may have finished it since it was read, and let go of the lock. One that is still the same was nobody's at
		// the moment when the lock was free.
		now, err := s.e.read(name)
		sharers, shareErr := s.e.sharers(name)
		switch {
		case err != nil || now.ID != p.ID:
		case halfMade(p) && halfMade(now):
			s.add("pod", name, "left half made: "+string(now.state.Status), s.removed(name, halfMade))
		case s.leftOver(p) && s.leftOver(now):
			s.add("pod", name, "was to go with its end", s.refreshed(name))
		case unsettled(p) && unsettled(now) && shareErr == nil && len(sharers) == 0:
			s.add("pod", name, "ended, but not cleared away", s.refreshed(name))
		}
	}
}

// removed mends what only the removal of a pod does.
func (c Checker) removed(name string, stale func(*pod) bool) func(context.Context) error {
	return c.under(name, stale, func(ctx context.Context, p *pod) error { return p.remove(ctx, api.RemoveOptions{}) })
}

// refreshed mends what the next look at a pod does.
func (c Checker) refreshed(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := c.e.Refresh(ctx, name)
		return unlessMissing(err)
	}
}

// damagedPods are those with a file that cannot be read.
func (s *search) damagedPods() {
	dead := func(p *pod) bool { return p.state.Status == api.StatusDead }
	for _, p := range s.pods {
		name := p.Spec.Name
		switch {
		case s.held(name):
		case dead(p):
			s.add("pod", name, p.state.Error+"; it can only be removed", s.removed(name, dead))
			s.found[len(s.found)-1].drastic = true
		case errors.Is(p.lost, disk.ErrDamaged):
			s.add("pod", name, p.lost.Error(), s.refreshed(name))
		case p.state.Status == api.StatusRunning && p.state.RunLost:
			s.add("pod", name, "it runs, but podc's files of its run were deleted: restart it, or run up, which does so", nil)
		}
	}
}

// unsettled is a pod of which something may be left, though it neither runs nor has an exit handler to come.
func unsettled(p *pod) bool {
	s := p.state
	return s.Status != api.StatusRunning && s.Status != api.StatusRestarting && s.Status != api.StatusDead && !s.Settled && !s.Conmon.Alive()
}

// strayDirs finds folders of pods that do not exist.
func (s *search) strayDirs() {
	stray := func(dir, name string) bool { return disk.Exists(dir) && !s.names[name] && !s.held(name) }
	for _, name := range s.dirs {
		dir := s.e.paths.pod(name)
		switch {
		case !stray(dir, name):
		case !podFolder(dir):
			s.add("file", dir, "not a folder of podc's, which leaves it", nil)
		default:
			s.add("file", dir, "folder of a container without a record", s.withoutPod(name, func() error {
				return errors.Join(s.e.paths.discard(dir, api.NewID()), s.e.emptyTrash())
			}))
		}
	}
	for _, name := range s.runDirs {
		if dir := s.e.paths.runPod(name); stray(dir, name) {
			s.add("file", dir, "run state of a container that does not exist", s.withoutPod(name, func() error { return nil }))
		}
	}
}

// podFolder reports whether dir holds nothing but what podc makes in the folder of a pod.
func podFolder(dir string) bool {
	names, err := listDir(dir)
	return err == nil && !slices.ContainsFunc(names, func(name string) bool {
		return name != "spec.json" && name != "last.json" && name != "main" && !strings.HasPrefix(name, ".")
	})
}

// strayRuntime finds cgroups, runtime state and exit files of containers that are not running.
func (s *search) strayRuntime() {
	add := func(id, kind, path, detail string) {
		p := s.byID[id]
		if !disk.Exists(path) || p != nil && (!atRest(p) || s.held(p.Spec.Name)) {
			return
		}
		// An id is never used again, so without its pod nobody can be at work on it.
		mend := func(context.Context) error {
			gone := &pod{e: s.e, record: record{ID: id}}
			gone.run().killStray()
			return gone.run().clearNamed()
		}
		if p != nil {
			mend = s.under(p.Spec.Name, atRest, func(_ context.Context, p *pod) error {
				p.run().killStray()
				return p.run().clearRuntime()
			})
		}
		s.add(kind, path, detail, mend)
	}
	for id, dirs := range s.cgroups {
		add(id, "cgroup", dirs[0], fmt.Sprintf("of no running container (in %d hierarchies)", len(dirs)))
	}
	for _, id := range s.runtimes {
		if !strings.HasPrefix(id, ".") {
			add(id, "file", filepath.Join(s.e.paths.runtime(), id), "runtime state of no running container")
		}
	}
	const cleared = "exit of a container that is cleared away"
	for _, name := range s.exits {
		path := s.e.paths.exit(name)
		id, _, unfinished := strings.Cut(name, ".") // as conmon writes it, before it gets its name
		switch {
		case !unfinished:
			add(id, "file", path, cleared)
		case s.byID[id] == nil:
			s.add("file", path, cleared, func(context.Context) error { return os.RemoveAll(path) })
		}
	}
}

// removeIdleCgroups removes the root's own cgroups, if nobody is in them and nobody about to be.
func (c Checker) removeIdleCgroups(ctx context.Context) error {
	pods, err := listDir(c.e.paths.pods())
	return c.e.paths.cgroups().RemoveIdle(ctx, err == nil && len(pods) == 0)
}

// strayMounts finds mounts of pods that are gone or at rest. The root filesystem and the files of one that was created but
// not started yet are in place on purpose, and files stay until the pod goes.
func (s *search) strayMounts() {
	pp, owner := s.e.paths, map[string]*pod{}
	for _, p := range s.pods {
		name := p.Spec.Name
		own := []string{pp.files(name), pp.merged(name), pp.ns(name, "net"), pp.ns(name, "ipc"), pp.ns(name, "uts"), pp.shm(name)}
		for _, m := range append(own, p.files().ownMounts()...) {
			owner[m] = p
		}
	}
	now, _ := pp.mounts() // read a moment ago
	for _, m := range s.mounts {
		stray := func(p *pod) bool {
			return atRest(p) && p.state.Status != api.StatusCreated && p.state.Status != api.StatusCreating && m != pp.files(p.Spec.Name)
		}
		p := owner[m]
		if !slices.Contains(now, m) || p != nil && (!stray(p) || s.held(p.Spec.Name)) {
			continue
		}
		mend := s.withoutPod(pp.podOfMount(m), func() error { return disk.Unmount(m) })
		if p != nil {
			mend = s.under(p.Spec.Name, stray, func(context.Context, *pod) error { return disk.Unmount(m) })
		}
		s.add("mount", m, "of no running container", mend)
	}
}

func (s *search) strayProcesses() {
	for _, h := range s.processes {
		if h.name == "conmon" {
			if p := s.byID[h.owner]; p != nil && (!p.state.Settled || s.held(p.Spec.Name)) {
				continue
			}
		} else if s.groups[h.owner] || disk.Held(filepath.Join(s.e.paths.monitor(h.owner), "start")) {
			continue
		}
		if !h.Alive() {
			continue
		}
		mend := func(context.Context) error { return ignoreDone(h.Signal(unix.SIGKILL)) }
		if h.name != "conmon" {
			mend = func(ctx context.Context) error { return s.e.Monitors().end(ctx, h) }
		}
		s.add("process", strconv.Itoa(h.Pid), h.name+" of "+h.owner+", which does not exist", mend)
	}
}

func (s *search) strayMonitors() {
	for _, g := range s.monitors {
		dir := s.e.paths.monitor(g)
		if !s.groups[g] && !disk.Held(filepath.Join(dir, "lock")) && !disk.Held(filepath.Join(dir, "start")) {
			s.add("file", dir, "of the monitor of a group without containers", func(context.Context) error { return s.e.Monitors().forget(g) })
		}
	}
}

// aliveID returns the test whether an id is that of a pod, as of the moment it is asked.
func (c Checker) aliveID() func(id string) bool {
	known := map[string]bool{}
	return func(id string) bool {
		if !known[id] {
			pods, _ := c.e.readAll()
			for _, p := range pods {
				// A pod at rest has nothing in the network, whatever its id.
				if !p.state.Settled || c.held(p.Spec.Name) {
					known[p.ID] = true
				}
			}
		}
		return known[id]
	}
}

// inventory is what may be left over, listed before the records are read: what is made meanwhile has its record first.
type inventory struct {
	dirs, runDirs, runtimes, exits, monitors, trash []string
	cgroups                                         map[string][]string // id -> folders
	mounts                                          []string
	processes                                       []helperProcess
}

func (c Checker) takeInventory() (inventory, error) {
	pp := c.e.paths
	inv := inventory{cgroups: pp.cgroups().Containers()}
	var errs []error
	list := func(dir string) []string {
		names, err := listDir(dir)
		errs = append(errs, err)
		return names
	}
	inv.dirs, inv.runDirs, inv.runtimes, inv.exits = list(pp.pods()), list(pp.runPods()), list(pp.runtime()), list(pp.exits())
	inv.monitors = list(pp.monitors())
	trash, err := pp.trashed()
	inv.trash, errs = trash, append(errs, err)
	mounts, err := pp.mounts()
	inv.mounts, errs = mounts, append(errs, err)
	inv.processes = c.e.Monitors().processes()
	return inv, errors.Join(errs...)
}

// trashed lists the removed pods whose files are still there, by id. What else lies there is not podc's.
func (p paths) trashed() ([]string, error) {
	names, err := listDir(p.trash())
	return slices.DeleteFunc(names, func(name string) bool { return !isID(name) }), err
}

// mounts lists what is mounted for pods of this root.
func (p paths) mounts() ([]string, error) { return rootfs.MountsBelow(p.pods(), p.runPods()) }

// podOfMount names the pod that a mount of mounts is for.
func (p paths) podOfMount(path string) string {
	for _, dir := range []string{p.pods(), p.runPods()} {
		if rest, ok := strings.CutPrefix(path, dir+"/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			return name
		}
	}
	return ""
}

// listDir lists the names in a folder; none if it does not exist. What cannot be read must not count as empty.
func listDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list what is in %s: %w", dir, err)
	}
	names := make([]string, 0, len(entries))
	for _, d := range entries {
		names = append(names, d.Name())
	}
	return names, nil
}
