package engine

import (
	"path/filepath"

	"podc.example/podc/engine/cgroups"
)

// paths is the one place that knows where things lie. DATA survives a reboot:
//
//	pods/<name>/spec.json        the record, written once, synced
//	pods/<name>/last.json        how the last run ended
//	pods/<name>/main/            config.json, ctr.log, diff/ work/ merged/ (the root filesystem)
//	networks/<net>.conflist      (package netstack)
//	volumes/<vol>/               (package volumes)
//	trash/                       removed pods whose files are not gone yet
//	events/journal, journal.1    what befell pods
//
// RUN is forgotten at a reboot; each state carries the boot's id, since it may lie on disk:
//
//	pods/<name>/lock, attended, state.json, ns/{net,ipc,uts}, etc/{hosts,resolv.conf,hostname}, files/ (tmpfs of configs and secrets),
//	                             shm/ (tmpfs for others to join), sharers/ (names of pods that share namespaces of this one)
//	exits/<id>                   written by conmon
//	runtime/                     the OCI runtime's own state
//	net/                         (package netstack)
//	monitors/<group>/            lock, sock, log
//	projects/<project>.lock      (package project)
//	shutdown                     everything ends, or has ended, with the machine (shutdown.go)
//	active.lock                  shared by whoever makes cgroups; exclusive to remove the common parent
type paths struct {
	id        string // RootIDOf
	data, run string
	host      func() cgroups.Host
}

func newPaths(data, run string) paths {
	// Real paths, since that is what the kernel's list of mounts has.
	return paths{id: RootIDOf(data), data: realPath(filepath.Clean(data)), run: realPath(filepath.Clean(run)), host: cgroups.This}
}

func (p paths) pods() string               { return filepath.Join(p.data, "pods") }
func (p paths) pod(name string) string     { return filepath.Join(p.data, "pods", name) }
func (p paths) spec(name string) string    { return filepath.Join(p.pod(name), "spec.json") }
func (p paths) last(name string) string    { return filepath.Join(p.pod(name), "last.json") }
func (p paths) bundle(name string) string  { return filepath.Join(p.pod(name), "main") }
func (p paths) config(name string) string  { return filepath.Join(p.bundle(name), "config.json") }
func (p paths) log(name string) string     { return filepath.Join(p.bundle(name), "ctr.log") }
func (p paths) merged(name string) string  { return filepath.Join(p.bundle(name), "merged") }
func (p paths) diff(name string) string    { return filepath.Join(p.bundle(name), "diff") }
func (p paths) work(name string) string    { return filepath.Join(p.bundle(name), "work") }
func (p paths) trash() string              { return filepath.Join(p.data, "trash") }
func (p paths) journal() string            { return filepath.Join(p.data, "events", "journal") }
func (p paths) volumes() string            { return filepath.Join(p.data, "volumes") }
func (p paths) runPods() string            { return filepath.Join(p.run, "pods") }
func (p paths) runPod(name string) string  { return filepath.Join(p.run, "pods", name) }
func (p paths) podLock(name string) string { return filepath.Join(p.runPod(name), "lock") }
func (p paths) attended(name string) string {
	return filepath.Join(p.runPod(name), "attended")
}
func (p paths) state(name string) string { return filepath.Join(p.runPod(name), "state.json") }
func (p paths) ns(name, kind string) string {
	return filepath.Join(p.runPod(name), "ns", kind)
}
func (p paths) sharers(name string) string   { return filepath.Join(p.runPod(name), "sharers") }
func (p paths) etc(name string) string       { return filepath.Join(p.runPod(name), "etc") }
func (p paths) files(name string) string     { return filepath.Join(p.runPod(name), "files") }
func (p paths) shm(name string) string       { return filepath.Join(p.runPod(name), "shm") }
func (p paths) conmonDir(name string) string { return filepath.Join(p.runPod(name), "conmon") }
func (p paths) exits() string                { return filepath.Join(p.run, "exits") }
func (p paths) exit(id string) string        { return filepath.Join(p.run, "exits", id) }
func (p paths) runtime() string              { return filepath.Join(p.run, "runtime") }
func (p paths) monitors() string             { return filepath.Join(p.run, "monitors") }
func (p paths) monitor(group string) string  { return filepath.Join(p.run, "monitors", group) }
func (p paths) shutdown() string             { return filepath.Join(p.run, "shutdown") }

// cgroups are those of this root.
func (p paths) cgroups() cgroups.Root {
	return cgroups.Root{ID: p.id, Active: filepath.Join(p.run, "active.lock"), Host: p.host()}
}
