package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/netstack"
)

// One damaged file harms one pod, and says so: everybody else reads past it, Check names it, and what is known from elsewhere
// is enough to go on, or to clear away.

// loadDead is the pod of a record that cannot be read: what its state repeats of that is enough to remove it.
func (e *Engine) loadDead(name string, damage error) *pod {
	p := &pod{e: e}
	if disk.ReadJSON(e.paths.state(name), &p.state) != nil || !isID(p.state.ID) {
		sum := sha256.Sum256([]byte(name)) // nothing bears it
		p.state = state{ID: hex.EncodeToString(sum[:])}
	}
	p.ID, p.Spec.Name, p.Spec.Group, p.Volumes = p.state.ID, name, p.state.Group, p.state.Volumes
	if p.state.Boot != bootID() {
		p.state = state{Boot: bootID()}
	}
	p.state.Status, p.state.Error = StatusDead, damage.Error()
	return p
}

func isID(id string) bool { return len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" }

// findRun is for a pod whose state is lost, or damaged: if its container runs, the kernel, what conmon noted and the network's
// record tell of it.
func (p *pod) findRun() {
	pp, s := p.e.paths, &p.state
	pids := p.pids()
	_, noted := os.Stat(pp.exit(p.ID))
	_, waits := os.Stat(filepath.Join(pp.runtime(), p.ID, "exec.fifo")) // it was created, and not started
	if len(pids) == 0 && noted != nil || waits == nil || !p.last.Finished.IsZero() {
		return
	}
	s.Started = p.last.Started
	if dir := pp.conmonDir(p.Spec.Name); len(pids) > 0 {
		s.Init, s.Conmon = notedProcess(filepath.Join(dir, "pid")), notedProcess(filepath.Join(dir, "conmon.pid"))
		if !slices.Contains(pids, s.Init.Pid) {
			s.Init, s.Conmon = p.mainProcess(pids)
		}
		if p.lastDamaged {
			s.Started = s.Init.started()
		}
	}
	if s.Started.IsZero() {
		s.Init, s.Conmon = process{}, process{}
		return
	}
	s.Status, s.Paused = StatusRunning, freezerOf(p.cgroup()).asked()
	if p.healthCheck() != nil {
		s.Health = HealthStarting
	}
	_, err := os.Stat(filepath.Join(pp.runtime(), p.ID))
	s.RunLost = err != nil
	switch a, err := p.e.net.Attachment(p.ID); {
	case err == nil:
		s.Interfaces, s.Ports = a.Interfaces, a.Ports
	case p.Spec.Network.Mode == NetworkPrivate:
		s.RunLost = true
		s.Ports = slices.DeleteFunc(slices.Clone(p.Spec.Network.Ports), func(p netstack.Port) bool { return p.HostPort == 0 || p.HostEnd != 0 })
	}
}

// mainProcess finds the container's first process and its conmon, of which nothing is noted, among those in its cgroup: it is
// conmon's child or, where conmon has died, the oldest.
func (p *pod) mainProcess(pids []int) (init, conmon process) {
	helpers := map[int]process{}
	for _, h := range p.e.startersOf(p.ID) {
		if comm, _ := os.ReadFile("/proc/" + strconv.Itoa(h.Pid) + "/comm"); strings.TrimSpace(string(comm)) == "conmon" {
			helpers[h.Pid] = h
		}
	}
	for _, pid := range pids {
		proc, parent := findProcess(pid), helpers[parentOf(pid)]
		switch first := init == (process{}) || proc.Start < init.Start; {
		case proc == (process{}):
		case parent != (process{}) && (conmon == (process{}) || first), conmon == (process{}) && first:
			init, conmon = proc, parent
		}
	}
	return init, conmon
}

// errRunLost refuses what needs more of a run than the kernel knows of it.
var errRunLost = fault.New(errdefs.ErrFailedPrecondition, "podc's files of its run were deleted while it ran: stop it, and start it anew")

func notedProcess(path string) process {
	b, _ := os.ReadFile(path)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		return process{}
	}
	return findProcess(pid)
}
