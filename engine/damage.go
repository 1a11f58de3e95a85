package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// One damaged file harms one pod, and says so: everybody else reads past it, Check names it, and what is known from elsewhere
// is enough to go on, or to clear away.

// loadDead is the pod of a record that cannot be read: what its state repeats of that is enough to remove it.
func (s *store) loadDead(name string, damage error) *pod {
	p := &pod{e: s.e}
	if disk.ReadJSON(s.e.paths.state(name), &p.state) != nil || !isID(p.state.ID) {
		sum := sha256.Sum256([]byte(name)) // nothing bears it
		p.state = state{ID: hex.EncodeToString(sum[:])}
	}
	p.ID, p.Spec.Name, p.Spec.Group, p.Volumes = p.state.ID, name, p.state.Group, p.state.Volumes
	if p.state.Boot != kernel.BootID() {
		p.state = state{Boot: kernel.BootID()}
	}
	p.state.Status, p.state.Error = api.StatusDead, damage.Error()
	return p
}

func isID(id string) bool { return len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" }

// findRun is for a pod whose state is lost, or damaged: if its container runs, the kernel, what conmon noted and the network's
// record tell of it.
func (p podRun) findRun() {
	pp, s := p.e.paths, &p.state
	pids := p.pids()
	if len(pids) == 0 && p.last.Boot != kernel.BootID() { // else it has ended in this boot, which refresh finds out
		return
	}
	if _, err := os.Stat(filepath.Join(pp.runtime(), p.ID, "exec.fifo")); err == nil || !p.last.Finished.IsZero() {
		return // it was created, and not started; or the run is over
	}
	s.Started = p.last.Started
	if dir := pp.conmonDir(p.Spec.Name); len(pids) > 0 {
		s.Init, s.Conmon = notedProcess(filepath.Join(dir, "pid")), notedProcess(filepath.Join(dir, "conmon.pid"))
		if !slices.Contains(pids, s.Init.Pid) {
			s.Init, s.Conmon = p.mainProcess(pids)
		}
		if p.lastDamaged {
			s.Started = s.Init.Started()
		}
	}
	if s.Started.IsZero() {
		s.Init, s.Conmon = kernel.Process{}, kernel.Process{}
		return
	}
	s.Status, s.Paused = api.StatusRunning, cgroups.FreezerOf(p.cgroup()).Asked()
	if p.healthCheck() != nil {
		s.Health = api.HealthStarting
	}
	_, err := os.Stat(filepath.Join(pp.runtime(), p.ID))
	s.RunLost = err != nil
	switch a, err := p.e.net.Attachment(p.ID); {
	case err == nil:
		s.Interfaces, s.Ports = a.Interfaces, a.Ports
	case p.Spec.Network.Mode == api.NetworkPrivate && errors.Is(err, fs.ErrNotExist):
		s.RunLost = true
		s.Ports = slices.DeleteFunc(slices.Clone(p.Spec.Network.Ports), func(p api.Port) bool { return p.HostPort == 0 || p.HostEnd != 0 })
	}
}

// mainProcess finds the container's first process and its conmon, of which nothing is noted, among those in its cgroup: it is
// conmon's child or, where conmon has died, the oldest.
func (p podRun) mainProcess(pids []int) (init, conmon kernel.Process) {
	helpers := map[int]kernel.Process{}
	for _, h := range p.e.runner.Starters(p.ID) {
		if kernel.Comm(h.Pid) == "conmon" {
			helpers[h.Pid] = h
		}
	}
	for _, pid := range pids {
		proc, parent := kernel.Find(pid), helpers[parentOf(pid)]
		switch first := init == (kernel.Process{}) || proc.Start < init.Start; {
		case proc == (kernel.Process{}):
		case parent != (kernel.Process{}) && (conmon == (kernel.Process{}) || first), conmon == (kernel.Process{}) && first:
			init, conmon = proc, parent
		}
	}
	return init, conmon
}

// errRunLost refuses what needs more of a run than the kernel knows of it.
var errRunLost = fault.New(errdefs.ErrFailedPrecondition, "podc's files of its run were deleted while it ran: stop it, and start it anew")

func notedProcess(path string) kernel.Process {
	b, _ := disk.ReadFile(path)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		return kernel.Process{}
	}
	return kernel.Find(pid)
}

// damagedFiles are those of pods, and the journal, that cannot be read although the pod can.
func (s *search) damagedFiles() {
	if damage := s.e.Damage(); damage != "" {
		s.add("file", s.e.paths.journal(), damage, func(context.Context) error { return s.e.Discard() })
	}
	for _, p := range s.pods {
		name := p.Spec.Name
		if p.state.Status == api.StatusDead || p.state.RunLost || s.held(name) {
			continue
		}
		if err := p.lastDamage(); err != nil {
			damaged := func(p *pod) bool { return p.lastDamage() != nil }
			s.add("pod", name, err.Error(), s.under(name, damaged, func(_ context.Context, p *pod) error { return p.renewLast() }))
		}
		if err := p.run().strangeLog(); err != nil {
			strange := func(p *pod) bool { return p.run().strangeLog() != nil }
			s.add("pod", name, err.Error()+": what is written meanwhile is lost",
				s.under(name, strange, func(_ context.Context, p *pod) error { return p.run().renewLog() }))
		}
		lost := func(p *pod) bool { return p.network().attachmentLost() }
		if lost(p) {
			s.add("pod", name, "it runs, but the record of its networks is lost",
				s.under(name, lost, func(ctx context.Context, p *pod) error { return p.network().reattach(ctx) }))
		}
		var config json.RawMessage
		if err := disk.ReadJSON(s.e.paths.config(name), &config); err != nil && p.state.Status == api.StatusRunning {
			s.add("pod", name, err.Error()+"; exec does not work until the container is restarted", nil)
		}
	}
}

// lastDamage says what is wrong with the record of a pod's last run, if anything is.
func (p *pod) lastDamage() error {
	var l lastRun
	if err := disk.ReadJSON(p.e.paths.last(p.Spec.Name), &l); errors.Is(err, disk.ErrDamaged) {
		return err
	}
	return nil
}

// renewLast replaces a record of the last run that cannot be read: how it ended is not known.
func (p *pod) renewLast() error {
	if p.state.Status == api.StatusRunning {
		return p.recordStart()
	}
	if p.last = (lastRun{ExitCode: 255}); !p.state.Started.IsZero() {
		p.last.Started, p.last.Finished = p.state.Started, time.Now()
	}
	return p.saveLast()
}

// attachmentLost reports whether a running pod's record of its networks is missing or damaged.
func (p podNetwork) attachmentLost() bool {
	if p.state.Status != api.StatusRunning || p.state.RunLost || p.Spec.Network.Mode != api.NetworkPrivate {
		return false
	}
	_, err := p.e.net.Attachment(p.ID)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrDamaged)
}

// reattach gives a running pod its networks anew, with the addresses that it has as far as they can be had.
func (p podNetwork) reattach(ctx context.Context) error {
	a := p.attachment()
	a.Endpoints = slices.Clone(a.Endpoints)
	for i, e := range a.Endpoints {
		for _, iface := range p.state.Interfaces {
			if iface.Network == e.Network {
				a.Endpoints[i].IPv4, a.Endpoints[i].IPv6 = iface.IPv4.Addr(), iface.IPv6.Addr()
			}
		}
	}
	if err := p.e.net.DetachLost(ctx, a); err != nil {
		return err
	}
	got, err := p.e.net.Attach(ctx, a)
	if err != nil {
		return err
	}
	p.state.Interfaces, p.state.Ports = got.Interfaces, got.Ports
	if len(a.Endpoints) == 0 {
		return nil
	}
	return p.e.Monitors().serveNames(ctx, p.Spec.Group, p.ID)
}
