package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/child"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// A group's monitor runs its probes, restarts and resolver, and rotates its logs. It owns no state: this file only sees to
// it that there is one, and speaks to it where an answer must be waited for. The monitor itself is package engine/monitor.

const (
	// startDeadline bounds the start of a monitor, which takes that long only where very much else starts too: one that fails says
	// so at once.
	startDeadline = 30 * time.Second
	// monitorDeadline bounds every request to one.
	monitorDeadline = 10 * time.Second
	// pingDeadline bounds the question whether there is one. One that lives answers at once.
	pingDeadline = 2 * time.Second
)

// asks bounds how often a monitor is asked again: one may end each time, but that is most unlikely.
const asks = 10

// errAnswered is the class of what a monitor says, beside which asking again is of no use.
var errAnswered = errors.New("the monitor has answered")

// errSilent is the error of a monitor that listens and does not answer.
var errSilent = errors.New("it does not answer")

// MonitorRequest is one line of JSON to a monitor's socket.
type MonitorRequest struct {
	// Op is "serve" (answer names for the attachment ID from now on), "release" (close its sockets) or "ping".
	Op string `json:"op"`
	ID string `json:"id,omitempty"`
}

// MonitorReply is the one line of answer.
type MonitorReply struct {
	Error string `json:"error,omitempty"`
}

// Monitors starts, asks and ends the monitors of groups.
type Monitors struct{ e *Engine }

// Dir is the folder of a group's monitor: lock (held while one lives), sock, log.
func (m Monitors) Dir(group string) string { return m.e.paths.monitor(group) }

// Ensure starts the monitor of group unless one is running; one that hangs is replaced. When it returns, the monitor
// answers.
func (m Monitors) Ensure(ctx context.Context, group string) error {
	if m.Ping(ctx, group) == nil {
		return nil
	}
	return m.renew(ctx, group)
}

// renew is for a group whose monitor did not answer.
func (m Monitors) renew(ctx context.Context, group string) error {
	dir := m.e.paths.monitor(group)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Many starts at once need one monitor: the first starts it, the others wait here and find it.
	l, err := disk.LockWait(ctx, filepath.Join(dir, "start"), disk.Wait{For: fmt.Sprintf("the start of the monitor of %q", group), Patience: 3 * startDeadline})
	if err != nil {
		return err
	}
	defer l.Unlock()
	err = m.Ping(ctx, group)
	if err == nil {
		return nil
	}
	if errors.Is(err, errSilent) { // it hangs, and has nothing to lose
		m.kill(group, "monitor")
	}
	if err := m.start(ctx, group); err != nil {
		return fmt.Errorf("cannot start the monitor of %q (see %s): %w", group, filepath.Join(dir, "log"), err)
	}
	return nil
}

// start runs the helper detached from everything of the caller's, and waits for the line by which it says that it
// serves (or that another does).
func (m Monitors) start(ctx context.Context, group string) error {
	ready, told, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	log, err := disk.OpenAppend(filepath.Join(m.e.paths.monitor(group), "log"))
	if err != nil {
		told.Close()
		return err
	}
	defer log.Close()
	cmd := child.Command(context.WithoutCancel(ctx), m.e.programs.Helper("podc-monitor"), "monitor", "--root", m.e.paths.data, "--runroot", m.e.paths.run, group)
	cmd.Env = m.e.programs.Env
	cmd.Dir = "/"
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{told} // descriptor 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	told.Close()
	if err != nil {
		return err
	}
	defer cmd.Process.Release()
	ready.SetReadDeadline(time.Now().Add(startDeadline))
	if line, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it ended at once")
		}
		return err
	} else if line != "ready\n" {
		return errors.New(line)
	}
	return nil
}

// Ping returns nil if the group's monitor answers, and an error after two seconds if not.
func (m Monitors) Ping(ctx context.Context, group string) error {
	return m.ask(ctx, group, MonitorRequest{Op: "ping"})
}

// LeaveCgroup moves this process out of its caller's cgroups, so that it outlives them. A monitor does so before it says that
// it is ready.
func (m Monitors) LeaveCgroup() error {
	active, err := m.e.paths.cgroups().Use(context.Background())
	if err != nil {
		return err
	}
	defer active.Unlock()
	return m.e.paths.cgroups().Escape(os.Getpid())
}

// serveNames has the monitor answer names for a freshly attached pod. The sockets are open when it returns, so that not one
// query is lost.
func (m Monitors) serveNames(ctx context.Context, group, id string) error {
	req := MonitorRequest{Op: "serve", ID: id}
	err := m.ask(ctx, group, req)
	// It may have been killed since it was last asked, or be about to end: then it says nothing, and another one does.
	for try := 0; try < asks && err != nil && !errors.Is(err, errAnswered); try++ {
		if ensured := m.Ensure(ctx, group); ensured != nil {
			err = errors.Join(err, ensured)
			break
		}
		err = m.ask(ctx, group, req)
	}
	if err != nil {
		return fmt.Errorf("cannot have names resolved: %w", err)
	}
	return nil
}

// releaseNames has the monitor, if there is one, close its sockets in a pod's namespace.
func (m Monitors) releaseNames(ctx context.Context, group, id string) {
	m.ask(ctx, group, MonitorRequest{Op: "release", ID: id})
}

func (m Monitors) ask(ctx context.Context, group string, req MonitorRequest) error {
	// A socket path is limited to 108 bytes, a root's is not: the way through the folder's descriptor always fits.
	dir, err := os.Open(m.e.paths.monitor(group))
	if err != nil {
		return err
	}
	defer dir.Close()
	patience := monitorDeadline
	if req.Op == "ping" {
		patience = pingDeadline
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the monitor of %s hangs: %w", group, errSilent))
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", kernel.FDPath(int(dir.Fd()))+"/sock")
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var reply MonitorReply
	err = json.NewEncoder(conn).Encode(req)
	if err == nil {
		err = json.NewDecoder(conn).Decode(&reply)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the monitor of %s ended before it answered", group)
	}
	if err != nil {
		return err
	}
	if reply.Error != "" {
		return fault.New(errAnswered, "%s", reply.Error)
	}
	return nil
}

// AwaitEnd returns when the monitor of a group with no pods left has ended, so that after it nothing of the group runs.
// The monitor ends by itself as soon as it sees that its group is empty; one that hangs is killed.
func (m Monitors) AwaitEnd(ctx context.Context, group string) error {
	err := m.awaitEnd(ctx, group)
	if err == nil || ctx.Err() != nil {
		return err
	}
	m.kill(group, "guard", "monitor")
	return m.awaitEnd(ctx, group)
}

func (m Monitors) awaitEnd(ctx context.Context, group string) error {
	dir := m.e.paths.monitor(group)
	ctx, cancel := disk.WithDeadline(ctx, monitorDeadline, "the monitor of "+group)
	defer cancel()
	w := disk.Wait{For: fmt.Sprintf("the end of the monitor of %q", group), Patience: monitorDeadline}
	for {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		monitor, err := disk.LockWait(ctx, filepath.Join(dir, "lock"), w)
		if err != nil {
			return err
		}
		// A guardian that has just lost its monitor starts one more, which ends at once.
		guardian, err := disk.TryLock(filepath.Join(dir, "guardian"))
		if err == nil {
			err = os.RemoveAll(dir)
			guardian.Unlock()
			monitor.Unlock()
			return err
		}
		monitor.Unlock()
		if !errors.Is(err, disk.ErrLocked) {
			return err
		}
		if guardian, err = disk.LockWait(ctx, filepath.Join(dir, "guardian"), w); err != nil {
			return err
		}
		guardian.Unlock()
	}
}

// forget removes what a dead monitor left, unless there is one again, somebody is starting one, or there are pods.
func (m Monitors) forget(group string) error {
	dir := m.e.paths.monitor(group)
	for _, name := range []string{"start", "lock", "guardian"} {
		l, err := disk.TryLock(filepath.Join(dir, name))
		if errors.Is(err, disk.ErrLocked) {
			return nil
		}
		if err != nil {
			return err
		}
		defer l.Unlock()
	}
	return m.ForgetGroup(group)
}

// ForgetGroup removes the folder of the monitor of a group that has no pods. The caller holds its locks, start and lock: who waits
// for them notices and begins anew. Idempotent.
func (m Monitors) ForgetGroup(group string) error {
	if pods, err := m.e.Pods(group); err != nil || len(pods) > 0 {
		return err
	}
	return os.RemoveAll(m.e.paths.monitor(group))
}

// lastPatience is how long a monitor or guardian of a group without pods may take to end by itself.
const lastPatience = 2 * time.Second

// end ends a monitor or guardian whose group has no pods, if it does not do so by itself.
func (m Monitors) end(ctx context.Context, h helperProcess) error {
	short, cancel := context.WithTimeout(ctx, lastPatience)
	defer cancel()
	if h.Wait(short) == nil {
		return nil
	}
	if pods, err := m.e.Pods(h.owner); err != nil || len(pods) > 0 {
		return err
	}
	return ignoreDone(h.Signal(unix.SIGKILL))
}

// kill ends processes of a group that answer to nothing else, by their verbs in that order.
func (m Monitors) kill(group string, verbs ...string) {
	all := m.processes()
	for _, verb := range verbs {
		for _, h := range all {
			if h.name == verb && h.owner == group {
				h.Signal(unix.SIGKILL)
			}
		}
	}
}

// helperProcess is a conmon, monitor or guardian of this root.
type helperProcess struct {
	kernel.Process
	name  string
	owner string // the container's id, or the group
}

// processes finds what podc left running for this root, by the run root among the arguments.
func (m Monitors) processes() []helperProcess {
	var list []helperProcess
	for _, pid := range kernel.Processes() {
		if pid == os.Getpid() {
			continue
		}
		proc := kernel.Find(pid) // before its arguments are read: they may be those of the pid's next holder, never the reverse
		args := kernel.Args(pid)
		if len(args) == 0 || proc == (kernel.Process{}) {
			continue
		}
		switch base := filepath.Base(args[0]); {
		case base == "conmon" && slices.Contains(args, m.e.paths.runtime()):
			list = append(list, helperProcess{proc, base, argAfter(args, "-c")})
		case base == "podc-monitor" && slices.Contains(args, m.e.paths.run) && len(args) > 2 && (args[1] == "monitor" || args[1] == "guard"):
			list = append(list, helperProcess{proc, args[1], args[len(args)-1]})
		}
	}
	return list
}

func argAfter(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}
