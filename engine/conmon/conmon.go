// Package conmon runs containers: it executes conmon, which has the OCI runtime create a container and stays to hold its output, its input
// and its end, and the runtime itself for what follows. It knows the files and sockets of both, and when they hang; it knows no pods.
package conmon

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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// Runner runs containers below one root. Its zero value is of no use.
type Runner struct {
	State string   // folder of the runtime's own state
	Exits string   // folder in which conmon notes how containers ended, by id
	Env   []string // of conmon and the runtime
}

// Container is one run of a container under conmon.
type Container struct {
	ID, Name        string
	Conmon, Runtime string // paths of the programs
	Bundle          string // folder of config.json, in which conmon makes its sockets
	Dir             string // folder of pid files
	Login           kernel.Login
	Terminal        bool
	Stdin           bool
	// StdinOnce ends the standard input with the first stream that is attached to it.
	StdinOnce bool
	Log       string // path of the log
	LogConfig api.LogConfig
	Ports     []*os.File // sockets for conmon to hold, the first of which is its descriptor FirstPort
	OnExit    []string   // command for an end that nobody has seen to after a second
	// Escape settles conmon's cgroup before it does anything.
	Escape func(pid int) error
}

// FirstPort is conmon's descriptor of the first of Container.Ports.
const FirstPort = 5

func (c Container) conmonPid() string { return filepath.Join(c.Dir, "conmon.pid") }

// Create starts conmon, which has the runtime create the container, and returns both processes. The container's
// own process waits until the runtime starts it. When it returns an error, no process is left.
func (r Runner) Create(ctx context.Context, c Container) (init, conmon kernel.Process, err error) {
	if err := errors.Join(os.MkdirAll(c.Dir, 0o700), os.MkdirAll(r.Exits, 0o700), os.MkdirAll(r.State, 0o700)); err != nil {
		return init, conmon, err
	}
	s, err := r.start(ctx, c)
	if err != nil {
		return init, conmon, err
	}
	defer s.close()
	ctx, cancel := r.whileWorking(ctx, c.ID, func(atWork []kernel.Process) (string, string) { return accuse(c, atWork) })
	defer cancel()
	kill := context.AfterFunc(ctx, func() { s.cmd.Process.Kill() })
	defer kill()
	s.begin.Write([]byte{0})
	pid, err := readSyncPipe(ctx, s.sync, c.Runtime)
	if err != nil {
		return init, conmon, createFailed(ctx, c.Runtime, s.cmd, err, s.complaints)
	}
	if err := s.cmd.Wait(); err != nil {
		return init, conmon, Failed(c.Conmon, wordsIn(s.complaints), err)
	}
	b, err := os.ReadFile(c.conmonPid())
	if err != nil {
		return init, conmon, fmt.Errorf("conmon did not say its pid: %w", err)
	}
	conmonPid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return kernel.Find(pid), kernel.Find(conmonPid), nil
}

// started is a conmon that waits for a byte before it does anything, and podc's ends of what it was given.
type started struct {
	cmd                     *exec.Cmd
	sync, begin, complaints *os.File
}

func (s started) close() { CloseAll([]*os.File{s.sync, s.begin, s.complaints}) }

func (r Runner) start(ctx context.Context, c Container) (s started, err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	var syncChild, beginChild, complain *os.File
	defer func() { CloseAll([]*os.File{syncChild, beginChild, complain}) }()
	if s.sync, syncChild, err = socketPair(); err != nil {
		return s, err
	}
	if s.begin, beginChild, err = socketPair(); err != nil {
		return s, err
	}
	if s.complaints, complain, err = os.Pipe(); err != nil {
		return s, err
	}
	s.cmd = child.Command(context.WithoutCancel(ctx), c.Conmon, r.args(c)...)
	s.cmd.Env = append(slices.Clone(r.Env), "_OCI_SYNCPIPE=3", "_OCI_STARTPIPE=4")
	s.cmd.ExtraFiles = append([]*os.File{syncChild, beginChild}, c.Ports...)
	s.cmd.Stderr = complain
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.cmd.Dir = "/"
	if err := c.Login.Start(s.cmd); err != nil {
		return s, fmt.Errorf("cannot run conmon: %w", err)
	}
	if err := c.Escape(s.cmd.Process.Pid); err != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		return s, err
	}
	return s, nil
}

// CloseAll closes files, of which some may be nil.
func CloseAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func (r Runner) args(c Container) []string {
	args := []string{
		"--api-version", "1", "-c", c.ID, "-u", c.ID, "-n", c.Name, "-r", c.Runtime,
		"-b", c.Bundle, "-p", filepath.Join(c.Dir, "pid"), "--conmon-pidfile", c.conmonPid(),
		"--exit-dir", r.Exits, "--persist-dir", c.Dir, "--full-attach", "--no-sync-log", "--log-level", "error",
		"--runtime-arg", "--root", "--runtime-arg", r.State,
		// The monitor, or whoever stops the pod, sees the exit file at once and dismisses conmon. Only if nobody lives to do
		// so does the exit handler have to start: a process less for every end of a container.
		"--exit-delay", "1", "--exit-command", c.OnExit[0],
	}
	for _, a := range c.OnExit[1:] {
		args = append(args, "--exit-command-arg", a)
	}
	args = append(args, c.logArgs()...)
	if c.Terminal {
		args = append(args, "-t")
	}
	if c.Stdin {
		args = append(args, "-i")
		if !c.StdinOnce || c.Terminal {
			args = append(args, "--leave-stdin-open")
		}
	}
	return args
}

// logArgs say where output goes. What the journal gets is kept in files as well: they are what `logs` reads.
func (c Container) logArgs() []string {
	switch file := "k8s-file:" + c.Log; {
	case c.LogConfig.Driver == api.LogNone:
		return []string{"-l", "none"}
	case c.LogConfig.Driver == api.LogJournald && c.LogConfig.Tag != "":
		return []string{"-l", file, "-l", "journald", "--log-tag", c.LogConfig.Tag}
	case c.LogConfig.Driver == api.LogJournald:
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
		return 0, Failed(runtime, strings.TrimSpace(answer.Message), nil)
	}
	return answer.Data, nil
}

// createFailed explains why conmon did not give the pid of a container, but err, and leaves no process of cmd.
func createFailed(ctx context.Context, runtime string, cmd *exec.Cmd, err error, complaints *os.File) error {
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
		return Failed(cmd.Path, said, ended)
	}
	// conmon says nothing of a runtime that says nothing, or that is no program for this machine.
	limited, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var unable *fs.PathError
	if errors.As(child.Command(limited, runtime, "--version").Run(), &unable) {
		return fmt.Errorf("cannot run the runtime: %w", unable)
	}
	return Failed(runtime, "", nil)
}

// wordsIn is the end of what a program has written into a pipe that it may hold open.
func wordsIn(pipe *os.File) string {
	var last Tail
	pipe.SetReadDeadline(time.Now().Add(runtimeLastWords))
	io.CopyN(&last, pipe, 1<<20)
	return last.Words()
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

// Exit is what conmon noted of the end of a container.
type Exit struct {
	Code  int
	Known bool      // false: what it noted is no code
	At    time.Time // by a clock that ticks only every few milliseconds: it may lie before the start of a short run
}

// Exit reads it; ok is false if nothing is noted yet.
func (r Runner) Exit(id string) (e Exit, ok bool) {
	path := filepath.Join(r.Exits, id)
	b, err := disk.ReadOnce(path)
	if err != nil || len(b) == 0 {
		return e, false
	}
	e.Code, err = strconv.Atoi(strings.TrimSpace(string(b)))
	e.Known = err == nil
	if fi, err := os.Stat(path); err == nil {
		e.At = fi.ModTime()
	}
	return e, true
}
