package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"podc.example/podc/internal/disk"
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

// findRun is for a pod whose state is lost, or damaged: if its container runs, what conmon noted and the network's record
// tell of it.
func (p *pod) findRun() {
	pp := p.e.paths
	dir := pp.conmonDir(p.Spec.Name)
	init := notedProcess(filepath.Join(dir, "pid"))
	_, waits := os.Stat(filepath.Join(pp.runtime(), p.ID, "exec.fifo")) // it was created, and not started
	if p.last.Started.IsZero() || waits == nil || !slices.Contains(p.pids(), init.Pid) {
		return
	}
	s := &p.state
	s.Status, s.Started, s.Init, s.Conmon = StatusRunning, p.last.Started, init, notedProcess(filepath.Join(dir, "conmon.pid"))
	s.Paused = freezerOf(p.cgroup()).asked()
	if p.healthCheck() != nil {
		s.Health = HealthStarting
	}
	if a, err := p.e.net.Attachment(p.ID); err == nil {
		s.Interfaces, s.Ports = a.Interfaces, a.Ports
	}
}

func notedProcess(path string) process {
	b, _ := os.ReadFile(path)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		return process{}
	}
	return findProcess(pid)
}
