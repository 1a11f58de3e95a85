package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack"
)

// run is one run of a container under conmon.
type run struct {
	id, name string
	runtime  string // path of the OCI runtime
	login    kernel.Login
	terminal bool
	stdin    bool
	// stdinOnce ends the standard input with the first stream that is attached to it.
	stdinOnce bool
	log       api.LogConfig
	ports     []netstack.Port // published; conmon keeps the host's programs off them
	mounts    []specs.Mount   // as the runtime is told, see checkPlaces
}

// createContainer starts conmon, which has the runtime create the container, and returns both processes. The container's
// own process waits until the runtime starts it. When it returns an error, no process is left.
func (e *Engine) createContainer(ctx context.Context, r run) (init, conmon kernel.Process, err error) {
	dir := e.paths.conmonDir(r.name)
	for _, d := range []string{dir, e.paths.exits(), e.paths.runtime()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return init, conmon, err
		}
	}
	path, err := lookupBinary("conmon")
	if err != nil {
		return init, conmon, err
	}
	sync, syncChild, err := socketPair()
	if err != nil {
		return init, conmon, err
	}
	defer sync.Close()
	start, startChild, err := socketPair()
	if err != nil {
		return init, conmon, err
	}
	defer start.Close()

	reserved, err := netstack.Reserve(r.ports)
	if err != nil {
		return init, conmon, err
	}
	defer closeAll(reserved)
	complaints, complain, err := os.Pipe()
	if err != nil {
		return init, conmon, err
	}
	defer complaints.Close()
	cmd := child.Command(context.WithoutCancel(ctx), path, e.conmonArgs(r)...)
	cmd.Env = append(e.helperEnv(), "_OCI_SYNCPIPE=3", "_OCI_STARTPIPE=4")
	cmd.ExtraFiles = append([]*os.File{syncChild, startChild}, reserved...)
	cmd.Stderr = complain
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Dir = "/"
	err = r.login.Start(cmd)
	syncChild.Close()
	startChild.Close()
	complain.Close()
	if err != nil {
		return init, conmon, fmt.Errorf("cannot run conmon: %w", err)
	}
	// conmon waits for a byte before it does anything, so that its cgroup is settled by then.
	escaped := e.paths.cgroups().Escape(cmd.Process.Pid)
	if escaped != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return init, conmon, escaped
	}
	ctx, cancel := e.whileRuntimeWorks(ctx, r.id, func(atWork []kernel.Process) (string, string) { return e.accuse(r, atWork) })
	defer cancel()
	kill := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer kill()
	start.Write([]byte{0})
	pid, err := readSyncPipe(ctx, sync, r.runtime)
	if err != nil {
		return init, conmon, e.createFailed(ctx, r.runtime, cmd, err, complaints)
	}
	if err := cmd.Wait(); err != nil {
		return init, conmon, runtimeFailed(path, wordsIn(complaints), err)
	}
	b, err := os.ReadFile(e.paths.conmonPid(r.name))
	if err != nil {
		return init, conmon, fmt.Errorf("conmon did not say its pid: %w", err)
	}
	conmonPid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return kernel.Find(pid), kernel.Find(conmonPid), nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func (e *Engine) conmonArgs(r run) []string {
	dir := e.paths.conmonDir(r.name)
	args := []string{
		"--api-version", "1", "-c", r.id, "-u", r.id, "-n", r.name, "-r", r.runtime,
		"-b", e.paths.bundle(r.name), "-p", filepath.Join(dir, "pid"), "--conmon-pidfile", e.paths.conmonPid(r.name),
		"--exit-dir", e.paths.exits(), "--persist-dir", dir, "--full-attach", "--no-sync-log", "--log-level", "error",
		"--runtime-arg", "--root", "--runtime-arg", e.paths.runtime(),
		// The monitor, or whoever stops the pod, sees the exit file at once and dismisses conmon. Only if nobody lives to do
		// so does the exit handler have to start: a process less for every end of a container.
		"--exit-delay", "1", "--exit-command", e.helper("podc-monitor"),
	}
	for _, a := range []string{"exit", "--root", e.paths.data, "--runroot", e.paths.run, r.name, r.id} {
		args = append(args, "--exit-command-arg", a)
	}
	args = append(args, e.logArgs(r)...)
	if r.terminal {
		args = append(args, "-t")
	}
	if r.stdin {
		args = append(args, "-i")
		if !r.stdinOnce || r.terminal {
			args = append(args, "--leave-stdin-open")
		}
	}
	return args
}

// logArgs say where output goes. What the journal gets is kept in files as well: they are what `logs` reads.
func (e *Engine) logArgs(r run) []string {
	switch file := "k8s-file:" + e.paths.log(r.name); {
	case r.log.Driver == api.LogNone:
		return []string{"-l", "none"}
	case r.log.Driver == api.LogJournald && r.log.Tag != "":
		return []string{"-l", file, "-l", "journald", "--log-tag", r.log.Tag}
	case r.log.Driver == api.LogJournald:
		return []string{"-l", file, "-l", "journald"}
	default:
		return []string{"-l", file}
	}
}

// readSyncPipe reads conmon's one line: the pid of the container's process, or why there is none.
func readSyncPipe(ctx context.Context, sync *os.File, runtime string) (int, error) {
	stop := context.AfterFunc(ctx, func() { sync.SetReadDeadline(time.Now()) })
	defer stop()
	line, err := bufio.NewReaderSize(sync, 64<<10).ReadBytes('\n')
	if err != nil {
		return 0, err
	}
	var answer struct {
		Data    int    `json:"data"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return 0, fmt.Errorf("conmon gave an answer that is not understood: %q", line)
	}
	if answer.Data <= 0 {
		return 0, runtimeFailed(runtime, strings.TrimSpace(answer.Message), nil)
	}
	return answer.Data, nil
}

// createFailed explains why conmon did not give the pid of a container, but err, and leaves no process of cmd.
func (e *Engine) createFailed(ctx context.Context, runtime string, cmd *exec.Cmd, err error, complaints *os.File) error {
	cmd.Process.Kill()
	ended := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
		if hung, ok := err.(*RuntimeError); ok && hung.Program == "conmon" {
			hung.Said = wordsIn(complaints)
		}
		return err
	case !errors.Is(err, io.EOF):
		return err
	}
	if said := wordsIn(complaints); said != "" || ended != nil {
		return runtimeFailed(cmd.Path, said, ended)
	}
	// conmon says nothing of a runtime that says nothing, or that is no program for this machine.
	limited, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var unable *fs.PathError
	if errors.As(child.Command(limited, runtime, "--version").Run(), &unable) {
		return fmt.Errorf("cannot run the runtime: %w", unable)
	}
	return runtimeFailed(runtime, "", nil)
}

// wordsIn is the end of what a program has written into a pipe that it may hold open.
func wordsIn(pipe *os.File) string {
	var last tailWriter
	pipe.SetReadDeadline(time.Now().Add(runtimeLastWords))
	io.CopyN(&last, pipe, 1<<20)
	return last.words()
}

func socketPair() (parent, child *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	// The parent's end is non-blocking so that deadlines work on it; conmon's must block.
	if err := unix.SetNonblock(fds[1], false); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "parent"), os.NewFile(uintptr(fds[1]), "child"), nil
}
