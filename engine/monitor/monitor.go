// Package monitor is the helper process of one group of pods: it runs their probes and restarts, answers their names and
// rotates their logs. It owns no state. Everything it does follows from the pods' state files, so that one that was killed
// is replaced by another that goes on where the first one was; and it is event driven: with nothing to do, it sleeps.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"podc.example/podc/engine"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

const (
	// linger is how long a monitor stays when every pod of its group is stopped, so that a restart by hand finds it. When
	// there are no pods any more it ends at once.
	linger = 2 * time.Second
	// takeOver bounds the wait for a monitor that holds the lock but does not answer: it is about to end, or to begin.
	takeOver = 25 * time.Second
	// takeOverPause is how long it is waited before that one is asked again.
	takeOverPause = 500 * time.Millisecond
)

// Config is what a monitor is started with.
type Config struct {
	Engine *engine.Engine
	Group  string
	Log    *slog.Logger
	Names  Resolver
	// Ready, which may be nil, is told in one line that the monitor serves, or that another one does, and closed.
	Ready *os.File
	// Guardian starts the guardian, and returns a pidfd of it; with Adopt, the first one is there already.
	Guardian func() (*os.File, error)
	Adopt    *os.File
	// Terminated tells of SIGTERM, which init sends to every process when the machine goes down; nil: of none.
	Terminated <-chan os.Signal
}

// Monitor is a running monitor.
type Monitor struct {
	engine  *engine.Engine
	group   string
	log     *slog.Logger
	names   *served
	watches *kernel.Inotify
	door    *door
	check   chan struct{} // capacity 1; the group may have become idle
	lost    chan struct{} // capacity 1; events were dropped
	wiped   chan struct{} // capacity 1; the monitor's lock was deleted
	ending  bool          // the machine goes down: there is no start to linger for

	mu      sync.Mutex // protects what follows
	workers map[string]*worker
	busy    map[*worker]bool
	running sync.WaitGroup // workers, and keepNetwork
}

// Run is the life of the group's monitor. It ends without an error when nothing of the group runs any more, or when another
// monitor serves the group already. release gives back the group's locks; a process that is about to exit leaves that to the
// kernel, so that whoever waits for them finds no process left.
func Run(ctx context.Context, cfg Config) (release func(), err error) {
	dir := cfg.Engine.Monitors().Dir(cfg.Group)
	lock, err := becomeMonitor(ctx, cfg, dir)
	if err != nil || lock == nil {
		return func() {}, errors.Join(err, ready(cfg.Ready, err))
	}
	m := &Monitor{
		engine: cfg.Engine, group: cfg.Group, log: cfg.Log, check: make(chan struct{}, 1), lost: make(chan struct{}, 1), wiped: make(chan struct{}, 1),
		names:   &served{resolver: cfg.Names, ids: map[string]*attachment{}},
		workers: map[string]*worker{}, busy: map[*worker]bool{},
	}
	m.door = &door{dir: dir, names: m.names, log: m.log.Error}
	if m.watches, err = kernel.OpenInotify(func() { notify(m.lost) }); err == nil {
		err = m.door.open()
	}
	if err = errors.Join(err, ready(cfg.Ready, err)); err != nil {
		return lock.Unlock, err
	}
	lock.Note()
	g := &guardian{start: cfg.Guardian, log: cfg.Log}
	go g.keep(cfg.Adopt)
	ctx, cancel := context.WithCancel(ctx)
	m.running.Go(func() { m.keepNetwork(ctx) })
	start, err := m.supervise(ctx, cfg.Terminated)
	if err == nil {
		endInOrder(dir)
	}
	if err == nil || errors.Is(err, errWiped) {
		g.end()
	}
	cancel()
	m.running.Wait()
	if err == nil { // pods that go with their end leave no command behind that would do it
		err = cfg.Engine.Monitors().ForgetGroup(cfg.Group)
	}
	return func() {
		lock.Unlock()
		start.Unlock()
	}, err
}

// errWiped ends a monitor whose lock somebody has deleted, with the rest of the run root most likely: the next command starts
// another one, and two would look after the same pods.
var errWiped = errors.New("the files of the monitor were deleted")

// becomeMonitor takes the lock of the group's monitor; no lock and no error means that another one has it and answers.
func becomeMonitor(ctx context.Context, cfg Config, dir string) (*disk.Lock, error) {
	ctx, cancel := disk.WithDeadline(ctx, takeOver, "the monitor before this one")
	defer cancel()
	for {
		l, err := disk.TryLock(filepath.Join(dir, "lock"))
		if !errors.Is(err, disk.ErrLocked) {
			return l, err
		}
		if cfg.Engine.Monitors().Ping(ctx, cfg.Group) == nil {
			return nil, nil
		}
		// It holds the lock and does not answer: it ends, and gives the lock back, or begins, and answers soon.
		l, err = disk.LockWait(ctx, filepath.Join(dir, "lock"), disk.Wait{For: "the monitor before this one", Patience: takeOverPause})
		if err == nil || ctx.Err() != nil {
			return l, err
		}
	}
}

// ready tells whoever started this process how that went.
func ready(f *os.File, err error) error {
	if f == nil {
		return nil
	}
	line := "ready"
	if err != nil {
		line = err.Error()
	}
	_, werr := fmt.Fprintln(f, line)
	if errors.Is(werr, unix.EPIPE) {
		werr = nil // it has given up waiting; the monitor is needed all the same
	}
	return errors.Join(werr, f.Close())
}

// supervise runs until the group is idle. It returns the lock of starting monitors, which keeps others from starting one until
// this one has ended.
func (m *Monitor) supervise(ctx context.Context, terminated <-chan os.Signal) (*disk.Lock, error) {
	failed := make(chan error, 1)
	go func() { failed <- m.watches.Run() }()
	defer m.watches.Close()
	defer m.door.close()
	if err := errors.Join(m.watchOwn(), m.scan(ctx)); err != nil {
		return nil, err
	}
	notify(m.check) // there may be nothing to do at all
	timer := time.NewTimer(0)
	timer.Stop()
	for {
		select {
		case err := <-failed:
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-m.wiped:
			return nil, errWiped
		case <-terminated:
			m.terminate(ctx)
			notify(m.check)
			continue
		case <-m.lost:
			m.pokeAll()
			if err := m.meetAll(ctx); err != nil {
				return nil, err
			}
			continue
		case <-m.check:
			timer.Stop()
			switch pods, busy := m.count(); {
			case busy > 0:
				continue
			case pods > 0 && !m.ending:
				timer.Reset(linger)
				continue
			}
		case <-timer.C:
		}
		if start, err := m.tryEnd(ctx); start != nil || err != nil {
			return start, err
		}
	}
}

// watchOwn tells when the monitor's own lock is deleted.
func (m *Monitor) watchOwn() error {
	_, err := m.watches.Add(m.engine.Monitors().Dir(m.group), unix.IN_DELETE|unix.IN_ONLYDIR, func(_ uint32, name string) {
		if name == "lock" {
			notify(m.wiped)
		}
	})
	return err
}

// terminate is for a SIGTERM. It goes on until the last container has ended, answering names until then; where the machine really
// goes down, it sees to that end: by its own signal and, for one that ignores it, in its own time.
func (m *Monitor) terminate(ctx context.Context) {
	m.ending = true
	if err := m.engine.Shutdown().NoteTermination(); err != nil {
		m.log.Error("SIGTERM", "err", err)
	}
	m.running.Go(func() {
		if !engine.MachineStops() {
			return
		}
		if err := m.engine.ShutDownAll(ctx, m.group); err != nil {
			m.log.Error("cannot stop the containers", "err", err)
		}
	})
}

// scan finds the pods that are there, and has new ones told.
func (m *Monitor) scan(ctx context.Context) error {
	dir := m.engine.Supervisor().PodsRunDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	_, err := m.watches.Add(dir, unix.IN_CREATE|unix.IN_ONLYDIR, func(mask uint32, name string) {
		if mask&unix.IN_ISDIR != 0 {
			m.meet(ctx, name, false)
		}
	})
	if err != nil {
		return err
	}
	return m.meetAll(ctx)
}

func (m *Monitor) meetAll(ctx context.Context) error {
	entries, err := os.ReadDir(m.engine.Supervisor().PodsRunDir())
	if err != nil {
		return err
	}
	for _, d := range entries {
		m.meet(ctx, d.Name(), true)
	}
	return nil
}

// meet watches a pod's folder and, if the pod is of this group, gives it a worker. A folder without a record is that of a pod
// that is being made, or was: the next change of its state tells.
func (m *Monitor) meet(ctx context.Context, name string, found bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var wd int32
	changed := func(mask uint32, file string) {
		if mask&unix.IN_DELETE_SELF != 0 || file == engine.StateFile {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.employ(ctx, name, wd, false)
		}
	}
	wd, err := m.watches.Add(filepath.Join(m.engine.Supervisor().PodsRunDir(), name), unix.IN_MOVED_TO|unix.IN_DELETE_SELF|unix.IN_ONLYDIR, changed)
	switch {
	case err == nil:
		m.employ(ctx, name, wd, found)
	case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTDIR):
		m.log.Error("cannot watch a pod", "pod", name, "err", err)
	}
}

// employ gives a pod of this group its worker, or tells the worker that something has changed. It needs mu. wd, if not 0, is
// the watch on the pod's folder, which ends if the pod is none of this group's business.
func (m *Monitor) employ(ctx context.Context, name string, wd int32, found bool) {
	if w := m.workers[name]; w != nil {
		notify(w.kick)
		return
	}
	d, err := m.engine.Supervisor().Duty(name)
	if errdefs.IsNotFound(err) || ctx.Err() != nil {
		return
	}
	if err == nil && d.Pod.Spec.Group != m.group {
		m.watches.Remove(wd)
		return
	}
	w := &worker{m: m, name: name, log: m.log.With("pod", name), kick: make(chan struct{}, 1)}
	m.workers[name] = w
	m.busy[w] = true // until it has looked
	m.running.Go(func() { w.loop(ctx, found) })
}

func (m *Monitor) pokeAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.workers {
		notify(w.kick)
	}
}

// report notes whether a pod needs the monitor.
func (m *Monitor) report(w *worker, busy bool) {
	m.mu.Lock()
	changed := m.busy[w] != busy
	m.busy[w] = busy
	m.mu.Unlock()
	if changed {
		notify(m.check)
	}
}

// forget is the end of a worker. Should there be a pod of that name by now, it is another one, for a worker of its own.
func (m *Monitor) forget(ctx context.Context, w *worker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.busy, w)
	delete(m.workers, w.name)
	m.employ(ctx, w.name, 0, false)
	notify(m.check)
}

// notify wakes up whoever waits for c, now or the next time; c has capacity 1.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is to wake up already
	}
}

func (m *Monitor) count() (pods, busy int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.busy {
		if b {
			busy++
		}
	}
	return len(m.busy), busy
}

// tryEnd shuts the door unless somebody needs the monitor after all. A start writes its intent into the pod's state before it
// asks whether there is a monitor: whoever was answered is seen here; whoever is not starts another one, for which they wait
// until this process has ended, since it holds the lock of starting them. That lock is returned; nil: the monitor goes on.
func (m *Monitor) tryEnd(ctx context.Context) (*disk.Lock, error) {
	dir := m.engine.Monitors().Dir(m.group)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return &disk.Lock{}, nil // the whole root is gone, and must not come back
	}
	start, err := disk.LockWait(ctx, filepath.Join(dir, "start"), disk.Wait{For: "who starts a monitor"})
	if err != nil {
		return nil, err
	}
	m.door.close()
	duties, err := m.engine.Supervisor().Duties(m.group)
	if err != nil {
		m.log.Error("cannot read the group's pods", "err", err) // what cannot be read cannot be looked after either
	}
	for _, d := range duties {
		if !d.Idle() {
			start.Unlock()
			return nil, m.door.open()
		}
	}
	return start, nil
}

// keepNetwork has the root's network healed when somebody has taken something of it away, such as a firewall that was loaded
// anew. Each group's monitor does that for all: the first one finds something to do.
func (m *Monitor) keepNetwork(ctx context.Context) {
	net := m.engine.Network()
	changed, err := net.Watch(ctx)
	if err != nil {
		m.log.Error("cannot watch the network", "err", err)
		return
	}
	for {
		fault, err := net.Heal(ctx) // first: whatever happened while no monitor watched
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			m.log.Error("cannot heal the network", "fault", fault, "err", err)
		case fault != "":
			m.log.Info("healed the network", "fault", fault)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
