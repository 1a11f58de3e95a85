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
	for _, p := range ofNet {
		problems = append(problems, api.Problem(p))
	}
	return problems, errors.Join(err, netErr)
}

// Repair mends what Check lists and returns what it mended. It is safe beside running commands: what belongs to a pod is
// looked at again under that pod's lock. Idempotent.
func (c Checker) Repair(ctx context.Context) ([]api.Problem, error) {
	ofNet, err := c.e.net.Check(ctx, c.aliveID())
	mended, repairErr := c.repair(ctx, true)
	left, leftErr := c.e.net.Check(ctx, c.aliveID())
	for _, p := range ofNet {
		if !slices.Contains(left, p) {
			mended = append(mended, api.Problem(p))
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

// findings looks for what is broken, and with all also into files that are not read for anything else.
func (c Checker) findings(all bool) ([]finding, error) {
	inv, invErr := c.takeInventory()
	pods, err := c.e.readAll()
	if err := errors.Join(invErr, err); err != nil {
		return nil, err
	}
	byID, groups, names := map[string]*pod{}, map[string]bool{}, map[string]bool{}
	for _, p := range pods {
		byID[p.ID], groups[p.Spec.Group], names[p.Spec.Name] = p, true, true
	}
	var found []finding
	found = append(found, c.brokenPods(pods)...)
	found = append(found, c.damagedPods(pods)...)
	if all {
		found = append(found, c.damagedFiles(pods)...)
	}
	found = append(found, c.strayDirs(inv, names)...)
	found = append(found, c.strayRuntime(inv, byID)...)
	found = append(found, c.strayMounts(inv, pods)...)
	found = append(found, c.strayProcesses(inv, byID, groups)...)
	found = append(found, c.strayMonitors(inv, groups)...)
	found = append(found, c.strayVolumes()...)
	if len(pods) == 0 {
		found = append(found, c.strayParents()...)
	}
	for _, t := range inv.trash {
		found = append(found, finding{Problem: api.Problem{Kind: "file", Object: t, Detail: "removed container whose files are still there"}, mend: func(context.Context) error { return c.e.emptyTrash() }})
	}
	kept, keptErr := c.keptForNobody(names)
	found = append(found, kept...)
	strays, err := c.e.volumes.Strays()
	err = errors.Join(err, keptErr)
	for v, leftOver := range strays {
		if !leftOver {
			found = append(found, finding{Problem: api.Problem{Kind: "volume", Object: v, Detail: "folder with data and without a record: podc leaves it (" + filepath.Dir(c.e.volumes.Path(v)) + ")"}})
			continue
		}
		found = append(found, finding{Problem: api.Problem{Kind: "volume", Object: v, Detail: "folder or lock without a record"}, mend: func(ctx context.Context) error { return c.e.volumes.RemoveStray(ctx, v) }})
	}
	for v, damage := range c.e.volumes.Damaged() {
		found = append(found, finding{Problem: api.Problem{Kind: "volume", Object: v, Detail: fmt.Sprintf("%v; its data is in %s: keep a copy of what counts, then podc volume rm %s", damage, c.e.volumes.Path(v), v)}})
	}
	return found, err
}

// keptForNobody finds addresses that networks keep for pods that do not exist.
func (c Checker) keptForNobody(names map[string]bool) ([]finding, error) {
	networks, err := c.e.net.Networks()
	var found []finding
	for _, n := range networks {
		for owner := range n.Kept {
			if !disk.IsName(owner) || names[owner] || disk.Held(c.e.paths.podLock(owner)) {
				continue // a group's, or of a pod that is being made or goes
			}
			found = append(found, finding{Problem: api.Problem{Kind: "address", Object: fmt.Sprint(n.Kept[owner]), Detail: fmt.Sprintf("kept on network %q for %q, which does not exist", n.Name, owner)},
				mend: c.withoutPod(owner, func() error { return c.e.net.KeepAddresses(context.Background(), n.Name, owner, nil) })})
		}
	}
	return found, err
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
		err := c.e.update(ctx, name, func(p *pod) error {
			if !stale(p) {
				return nil
			}
			return mend(ctx, p)
		})
		if isMissing(err) {
			return nil
		}
		return err
	}
}

// atRest is a pod of whose runs nothing may be left.
func atRest(p *pod) bool { return p.state.Settled }

// halfMade is a pod that a process died over, if its lock is free.
func halfMade(p *pod) bool {
	return p.state.Status == api.StatusCreating || p.state.Status == api.StatusRemoving
}

// brokenPods are those that a dead process left half made, half started, half removed, or to be removed.
func (c Checker) brokenPods(pods []*pod) []finding {
	var found []finding
	for _, p := range pods {
		name := p.Spec.Name
		if !halfMade(p) && !unsettled(p) && !c.leftOver(p) || disk.Held(c.e.paths.podLock(name)) {
			continue
		}
		// Somebody may have finished it since it was read, and let go of the lock. One that is still the same was nobody's at
		// the moment when the lock was free.
		now, err := c.e.read(name)
		sharers, shareErr := c.e.sharers(name)
		switch {
		case err != nil || now.ID != p.ID:
		case halfMade(p) && halfMade(now):
			found = append(found, finding{Problem: api.Problem{Kind: "pod", Object: name, Detail: "left half made: " + string(now.state.Status)}, mend: c.under(name, halfMade, func(ctx context.Context, p *pod) error {
				return p.remove(ctx, api.RemoveOptions{})
			})})
		case c.leftOver(p) && c.leftOver(now):
			found = append(found, finding{Problem: api.Problem{Kind: "pod", Object: name, Detail: "was to go with its end"}, mend: c.refreshed(name)})
		case unsettled(p) && unsettled(now) && shareErr == nil && len(sharers) == 0:
			found = append(found, finding{Problem: api.Problem{Kind: "pod", Object: name, Detail: "ended, but not cleared away"}, mend: c.refreshed(name)})
		}
	}
	return found
}

// refreshed mends what the next look at a pod does.
func (c Checker) refreshed(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := c.e.Refresh(ctx, name)
		if isMissing(err) {
			return nil
		}
		return err
	}
}

// damagedPods are those with a file that cannot be read.
func (c Checker) damagedPods(pods []*pod) []finding {
	var found []finding
	add := func(p *pod, detail string, mend func(context.Context) error, drastic bool) {
		if !disk.Held(c.e.paths.podLock(p.Spec.Name)) {
			found = append(found, finding{api.Problem{Kind: "pod", Object: p.Spec.Name, Detail: detail}, mend, drastic})
		}
	}
	for _, p := range pods {
		name := p.Spec.Name
		dead := func(p *pod) bool { return p.state.Status == api.StatusDead }
		switch {
		case dead(p):
			add(p, p.state.Error+"; it can only be removed", c.under(name, dead, func(ctx context.Context, p *pod) error {
				return p.remove(ctx, api.RemoveOptions{})
			}), true)
		case errors.Is(p.lost, disk.ErrDamaged):
			add(p, p.lost.Error(), c.refreshed(name), false)
		case p.state.Status == api.StatusRunning && p.state.RunLost:
			add(p, "it runs, but podc's files of its run were deleted: restart it, or run up, which does so", nil, false)
		}
	}
	return found
}

// unsettled is a pod of which something may be left, though it neither runs nor has an exit handler to come.
func unsettled(p *pod) bool {
	s := p.state
	return s.Status != api.StatusRunning && s.Status != api.StatusRestarting && s.Status != api.StatusDead && !s.Settled && !s.Conmon.Alive()
}

// strayDirs finds folders of pods that do not exist.
func (c Checker) strayDirs(inv inventory, names map[string]bool) []finding {
	var found []finding
	add := func(dir, name, detail string, mend func() error) {
		if _, err := os.Stat(dir); err != nil || names[name] || disk.Held(c.e.paths.podLock(name)) {
			return
		}
		if mend == nil {
			found = append(found, finding{Problem: api.Problem{Kind: "file", Object: dir, Detail: detail}})
			return
		}
		found = append(found, finding{Problem: api.Problem{Kind: "file", Object: dir, Detail: detail}, mend: c.withoutPod(name, mend)})
	}
	for _, name := range inv.dirs {
		dir := c.e.paths.pod(name)
		if !podFolder(dir) {
			add(dir, name, "not a folder of podc's, which leaves it", nil)
			continue
		}
		add(dir, name, "folder of a container without a record", func() error {
			return errors.Join(c.e.paths.discard(dir, api.NewID()), c.e.emptyTrash())
		})
	}
	for _, name := range inv.runDirs {
		add(c.e.paths.runPod(name), name, "run state of a container that does not exist", func() error { return nil })
	}
	return found
}

// podFolder reports whether dir holds nothing but what podc makes in the folder of a pod.
func podFolder(dir string) bool {
	names, err := listDir(dir)
	return err == nil && !slices.ContainsFunc(names, func(name string) bool {
		return name != "spec.json" && name != "last.json" && name != "main" && !strings.HasPrefix(name, ".")
	})
}

// strayRuntime finds cgroups, runtime state and exit files of containers that are not running.
func (c Checker) strayRuntime(inv inventory, byID map[string]*pod) []finding {
	var found []finding
	add := func(id, kind, path, detail string) {
		p := byID[id]
		if _, err := os.Stat(path); err != nil || p != nil && (!atRest(p) || disk.Held(c.e.paths.podLock(p.Spec.Name))) {
			return
		}
		// An id is never used again, so without its pod nobody can be at work on it.
		mend := func(context.Context) error {
			gone := &pod{e: c.e, record: record{ID: id}}
			gone.run().killStray()
			return gone.run().clearNamed()
		}
		if p != nil {
			mend = c.under(p.Spec.Name, atRest, func(_ context.Context, p *pod) error {
				p.run().killStray()
				return p.run().clearRuntime()
			})
		}
		found = append(found, finding{Problem: api.Problem{Kind: kind, Object: path, Detail: detail}, mend: mend})
	}
	for id, dirs := range inv.cgroups {
		add(id, "cgroup", dirs[0], fmt.Sprintf("of no running container (in %d hierarchies)", len(dirs)))
	}
	for _, id := range inv.runtimes {
		if !strings.HasPrefix(id, ".") {
			add(id, "file", filepath.Join(c.e.paths.runtime(), id), "runtime state of no running container")
		}
	}
	const cleared = "exit of a container that is cleared away"
	for _, name := range inv.exits {
		id, _, unfinished := strings.Cut(name, ".") // as conmon writes it, before it gets its name
		switch {
		case !unfinished:
			add(id, "file", c.e.paths.exit(id), cleared)
		case byID[id] == nil:
			path := c.e.paths.exit(name)
			found = append(found, finding{Problem: api.Problem{Kind: "file", Object: path, Detail: cleared}, mend: func(context.Context) error { return os.RemoveAll(path) }})
		}
	}
	return found
}

// strayParents finds the root's own cgroups, where there is no pod, nobody in them, and nobody about to be.
func (c Checker) strayParents() []finding {
	parent := c.e.paths.cgroups().Stray()
	if parent == "" {
		return nil
	}
	return []finding{{Problem: api.Problem{Kind: "cgroup", Object: parent, Detail: "of a root without containers"}, mend: c.removeIdleCgroups}}
}

// removeIdleCgroups removes the root's own cgroups, if nobody is in them and nobody about to be.
func (c Checker) removeIdleCgroups(ctx context.Context) error {
	pods, err := listDir(c.e.paths.pods())
	return c.e.paths.cgroups().RemoveIdle(ctx, err == nil && len(pods) == 0)
}

// strayMounts finds mounts of pods that are gone or at rest. The root filesystem and the files of one that was created but
// not started yet are in place on purpose, and files stay until the pod goes.
func (c Checker) strayMounts(inv inventory, pods []*pod) []finding {
	owner := map[string]*pod{}
	for _, p := range pods {
		name := p.Spec.Name
		for _, m := range []string{c.e.paths.files(name), c.e.paths.merged(name), c.e.paths.ns(name, "net"), c.e.paths.ns(name, "ipc"), c.e.paths.ns(name, "uts"), c.e.paths.shm(name)} {
			owner[m] = p
		}
		for _, m := range p.files().ownMounts() {
			owner[m] = p
		}
	}
	now, _ := c.e.paths.mounts() // read a moment ago
	stray := func(m string) func(*pod) bool {
		return func(p *pod) bool {
			return atRest(p) && p.state.Status != api.StatusCreated && p.state.Status != api.StatusCreating && m != c.e.paths.files(p.Spec.Name)
		}
	}
	var found []finding
	for _, m := range inv.mounts {
		p := owner[m]
		if !slices.Contains(now, m) || p != nil && (!stray(m)(p) || disk.Held(c.e.paths.podLock(p.Spec.Name))) {
			continue
		}
		mend := c.withoutPod(c.e.paths.podOfMount(m), func() error { return disk.Unmount(m) })
		if p != nil {
			mend = c.under(p.Spec.Name, stray(m), func(context.Context, *pod) error { return disk.Unmount(m) })
		}
		found = append(found, finding{Problem: api.Problem{Kind: "mount", Object: m, Detail: "of no running container"}, mend: mend})
	}
	return found
}

func (c Checker) strayProcesses(inv inventory, byID map[string]*pod, groups map[string]bool) []finding {
	var found []finding
	for _, h := range inv.processes {
		if h.name == "conmon" {
			if p := byID[h.owner]; p != nil && (!p.state.Settled || disk.Held(c.e.paths.podLock(p.Spec.Name))) {
				continue
			}
		} else if groups[h.owner] || disk.Held(filepath.Join(c.e.paths.monitor(h.owner), "start")) {
			continue
		}
		if !h.Alive() {
			continue
		}
		mend := func(context.Context) error { return ignoreDone(h.Signal(unix.SIGKILL)) }
		if h.name != "conmon" {
			mend = func(ctx context.Context) error { return c.e.Monitors().end(ctx, h) }
		}
		found = append(found, finding{Problem: api.Problem{Kind: "process", Object: strconv.Itoa(h.Pid), Detail: h.name + " of " + h.owner + ", which does not exist"}, mend: mend})
	}
	return found
}

func (c Checker) strayMonitors(inv inventory, groups map[string]bool) []finding {
	var found []finding
	for _, g := range inv.monitors {
		dir := c.e.paths.monitor(g)
		if groups[g] || disk.Held(filepath.Join(dir, "lock")) || disk.Held(filepath.Join(dir, "start")) {
			continue
		}
		found = append(found, finding{Problem: api.Problem{Kind: "file", Object: dir, Detail: "of the monitor of a group without containers"}, mend: func(context.Context) error { return c.e.Monitors().forget(g) }})
	}
	return found
}

// aliveID returns the test whether an id is that of a pod, as of the moment it is asked.
func (c Checker) aliveID() func(id string) bool {
	known := map[string]bool{}
	return func(id string) bool {
		if !known[id] {
			pods, _ := c.e.readAll()
			for _, p := range pods {
				// A pod at rest has nothing in the network, whatever its id.
				if !p.state.Settled || disk.Held(c.e.paths.podLock(p.Spec.Name)) {
					known[p.ID] = true
				}
			}
		}
		return known[id]
	}
}
