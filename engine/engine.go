// Package engine runs pods on one host, without a daemon: it prepares namespaces, root filesystems, OCI specs, networks and
// volumes, then executes conmon, which executes crun. State is files (paths.go) and the kernel; nothing has to be running
// for a call to work. It knows no compose words and links neither containers/storage nor containers/image: images reach it
// resolved.
package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"podc.example/podc/engine/cgroups"
	"podc.example/podc/engine/conmon"
	"podc.example/podc/engine/host"
	"podc.example/podc/engine/journal"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack"
	"podc.example/podc/volumes"
)

// Config says where an engine keeps things and which programs it runs.
type Config struct {
	Root    string // data, survives a reboot; must be absolute
	RunRoot string // run state, worthless after a reboot; must be absolute
	// Helpers is the folder of podc's helper binaries; empty: that of the running executable.
	Helpers string
	Runtime string // OCI runtime for pods that name none; empty: "crun"
	CNI     CNI
	// Host is the machine and who podc is on it, as far as containers depend on that; nil: this one, looked at when it is needed.
	Host *host.Host
}

// CNI says how plugins of the network are found and used.
type CNI struct {
	Path string // folders of plugins, separated by ":"; empty: netstack's default
	Conf string // folders of networks made by hand, separated by ":"; empty: /etc/cni/net.d
	Exec bool   // plugins are executed for podc's own networks too
}

// The environment variables that say so. The first two are those of CNI's own tools.
const (
	envCNIPath = "CNI_PATH"
	envCNIConf = "NETCONFPATH"
	envCNIExec = "PODC_CNI_EXEC"
)

// CNIFrom reads the environment. Helpers of the engine get the same one.
func CNIFrom(getenv func(string) string) CNI {
	exec, _ := strconv.ParseBool(getenv(envCNIExec))
	return CNI{Path: getenv(envCNIPath), Conf: getenv(envCNIConf), Exec: exec}
}

// environ is the inverse of CNIFrom.
func (c CNI) environ() []string {
	var env []string
	for name, value := range map[string]string{envCNIPath: c.Path, envCNIConf: c.Conf} {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	if c.Exec {
		env = append(env, envCNIExec+"=1")
	}
	return env
}

// Engine gives access to the pods, networks and volumes below one pair of roots. It holds no state of its own beside
// caches: any number of engines, in any number of processes, may work on the same roots at once. Its methods are safe for
// concurrent use.
//
// Its own methods are the life of pods. What is known of pods, what they share, what the host has and what can be had of it are parts,
// which it is made of; the others it hands out: Checker, Monitors, Supervisor, Shutdown.
type Engine struct {
	*journal.Journal
	*store
	*shared
	*possible

	paths    paths
	host     func() host.Host
	programs *host.Programs
	net      *netstack.Stack
	volumes  *volumes.Store
	watch    *kernel.Watcher
	runner   conmon.Runner
	opened   time.Duration // since the start of the machine
}

// Open returns the engine of the roots in cfg. It is cheap and has no side effect: folders are made by the first write.
func Open(cfg Config) (*Engine, error) {
	for _, dir := range []string{cfg.Root, cfg.RunRoot} {
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("cannot use %q as a root folder: the path must be absolute", dir)
		}
	}
	if cfg.Helpers == "" {
		exe, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("cannot find podc's own folder: %w", err)
		}
		cfg.Helpers = filepath.Dir(exe)
	}
	if cfg.Runtime == "" {
		cfg.Runtime = "crun"
	}
	go warmDecoder()
	p, this := newPaths(cfg.Root, cfg.RunRoot), host.This
	if h := cfg.Host; h != nil {
		this, p.host = func() host.Host { return *h }, func() cgroups.Host { return h.Cgroups }
	}
	watch := new(kernel.Watcher)
	e := &Engine{
		Journal: journal.Open(p.journal(), watch), watch: watch,
		host: this, programs: &host.Programs{Helpers: cfg.Helpers, Runtime: cfg.Runtime, Env: append([]string{host.Path}, cfg.CNI.environ()...), Stamp: filepath.Join(p.run, "apparmor")},
		paths: p,
		net: netstack.Open(netstack.Config{RootID: p.id, Data: p.data, Run: p.run,
			Host: netstack.Host{PluginDirs: filepath.SplitList(cfg.CNI.Path), ConfDirs: filepath.SplitList(cfg.CNI.Conf)}, ForceExec: cfg.CNI.Exec}),
		volumes: volumes.Open(p.volumes()),
		opened:  kernel.SinceBoot(),
	}
	e.store, e.shared, e.possible = &store{e}, &shared{e}, &possible{e}
	e.runner = conmon.Runner{State: p.runtime(), Exits: p.exits(), Env: e.programs.Env}
	return e, nil
}

// warmDecoder has the decoder of JSON build its tables for what every pod is read into, which takes as long as reading twenty of
// them, while the caller finds out what is asked for.
func warmDecoder() {
	json.Unmarshal([]byte("{}"), new(record))
	json.Unmarshal([]byte("{}"), new(state))
}

// Network gives access to the engine's networks.
func (e *Engine) Network() *netstack.Stack { return e.net }

// Volumes gives access to the engine's volumes.
func (e *Engine) Volumes() *volumes.Store { return e.volumes }

// Checker finds and mends what is broken.
func (e *Engine) Checker() Checker { return Checker{e} }

// Monitors are those of the groups.
func (e *Engine) Monitors() Monitors { return Monitors{e} }

// Supervisor is the engine for the monitor of a group.
func (e *Engine) Supervisor() Supervisor { return Supervisor{e} }

// Shutdown is what is on record of the end of the machine.
func (e *Engine) Shutdown() Shutdown { return Shutdown{e.paths, e.opened} }

// RootID tells this pair of roots from others on the same kernel: every name that is global to the host carries it.
func (e *Engine) RootID() string { return e.paths.id }

// RootIDOf derives the id from the data root, so that it is the same in every process, after every reboot, and through links.
func RootIDOf(data string) string {
	sum := sha256.Sum256([]byte(realPath(filepath.Clean(data))))
	return hex.EncodeToString(sum[:4])
}

// realPath resolves the links of path, as far as it exists: what it is must not change when it is made.
func realPath(path string) string {
	for dir, rest := path, ""; ; dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest)
		}
		if dir == filepath.Dir(dir) {
			return path
		}
	}
}
