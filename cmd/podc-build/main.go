// Command podc-build is podc's helper for builds: it links BuildKit. What it is asked is in package podcbuild.
//
// `podc-build start` starts `podc-build serve`, unless one serves, and returns once it can be asked.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"go.podman.io/storage/pkg/reexec"

	"podc.example/podc/api"
	"podc.example/podc/builder"
	"podc.example/podc/engine/host"
	"podc.example/podc/engine/images"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podcbuild"
	"podc.example/podc/internal/podcimage"
)

func main() {
	// containers/storage unpacks layers in a child of this very program.
	if reexec.Init() {
		return
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	defaultRoot    = "/var/lib/podc"
	defaultRunRoot = "/run/podc"
)

func run(args []string) error {
	var root, runRoot string
	var idle time.Duration
	flags := flag.NewFlagSet(podcbuild.Program, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&root, "root", defaultRoot, "")
	flags.StringVar(&runRoot, "runroot", defaultRunRoot, "")
	flags.DurationVar(&idle, "idle", 5*time.Second, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := &server{root: root, runRoot: runRoot, idle: idle}
	switch flags.Arg(0) {
	case "start":
		return s.start(context.Background())
	case podcbuild.Serve:
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		return s.serve(ctx)
	case podcbuild.Clear:
		return s.clear(context.Background())
	}
	return fault.Invalid("podc calls this program, with start, %s or %s, not %q", podcbuild.Serve, podcbuild.Clear, flags.Args())
}

const (
	startPatience = 30 * time.Second // bounds a start
	stopPatience  = 8 * time.Second  // bounds the end of builds that are given up
)

type server struct {
	root, runRoot string
	idle          time.Duration
	builder       *builder.Builder
}

func (s *server) dir() string { return filepath.Join(s.runRoot, "build") }

// start starts whoever serves, and waits until it does. Of several at once one starts it.
func (s *server) start(ctx context.Context) error {
	if err := os.MkdirAll(s.dir(), 0o700); err != nil {
		return err
	}
	lock, err := disk.LockWait(ctx, filepath.Join(s.dir(), "start.lock"), disk.Wait{For: "who starts " + podcbuild.Program, Patience: startPatience})
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if conn, err := net.Dial("unix", podcbuild.Socket(s.runRoot)); err == nil {
		return conn.Close()
	}
	log, err := os.OpenFile(filepath.Join(s.dir(), "log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ready, there, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := child.Command(context.Background(), self, "--root", s.root, "--runroot", s.runRoot, "--idle", s.idle.String(), podcbuild.Serve)
	cmd.Stderr, cmd.ExtraFiles = log, []*os.File{there}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(cmd.Start(), there.Close()); err != nil {
		return err
	}
	if said, _ := io.ReadAll(ready); len(said) > 0 {
		return errors.New(string(said))
	}
	return nil
}

// readyFile is the descriptor that is closed once whoever started this process may ask; what goes wrong before is written to it.
const readyFile = 3

// serve answers until nobody has asked for a while.
func (s *server) serve(ctx context.Context) error {
	syscall.CloseOnExec(readyFile)
	ready := os.NewFile(readyFile, "ready")
	defer ready.Close()
	logrus.SetLevel(logrus.ErrorLevel)
	if err := os.Setenv("TMPDIR", builder.Temporary(s.runRoot)); err != nil {
		return err
	}
	// The one before may still be about to end.
	lock, err := disk.LockWait(ctx, podcbuild.Lock(s.runRoot), disk.Wait{For: "another " + podcbuild.Program, Patience: startPatience})
	if err == nil {
		lock.Note()
		defer runtime.KeepAlive(lock) // kept until this process is gone
		err = s.open(ctx)
	}
	if err != nil {
		fmt.Fprint(ready, err)
		return err
	}
	defer s.builder.Close(context.WithoutCancel(ctx))
	socket := podcbuild.Socket(s.runRoot)
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		fmt.Fprint(ready, err)
		return err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return err
	}
	ready.Close()
	s.answer(ctx, l)
	return errors.Join(s.builder.Trim(ctx), os.RemoveAll(builder.Temporary(s.runRoot)))
}

func (s *server) open(ctx context.Context) error {
	c, err := s.config()
	if err == nil {
		s.builder, err = builder.Open(ctx, c)
	}
	return err
}

func (s *server) config() (builder.Config, error) {
	runtime, err := host.Lookup("crun")
	return builder.Config{Root: s.root, RunRoot: s.runRoot, Runtime: runtime, Pull: s.pull,
		Images: images.Config{Root: s.root, RunRoot: s.runRoot, Private: s.root != defaultRoot}}, err
}

// clear takes away what one that died has left.
func (s *server) clear(ctx context.Context) error {
	lock, err := disk.TryLock(podcbuild.Lock(s.runRoot))
	if errors.Is(err, disk.ErrLocked) {
		return nil // nobody died
	}
	if err != nil {
		return err
	}
	defer lock.Unlock()
	c, err := s.config()
	if err != nil {
		return err
	}
	return errors.Join(builder.Clear(ctx, c), os.RemoveAll(podcbuild.Socket(s.runRoot)))
}

// answer answers whoever connects, until nobody has for a while.
func (s *server) answer(ctx context.Context, l net.Listener) {
	verbs := map[string]helper.Verb{podcbuild.Build: helper.Answer(s.build)}
	var busy sync.WaitGroup
	idle := time.AfterFunc(s.idle, func() { l.Close() })
	defer context.AfterFunc(ctx, func() { l.Close() })()
	n := make(chan int, 1)
	n <- 0
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		n <- 1 + <-n
		idle.Stop()
		busy.Go(func() {
			helper.ServeConn(ctx, conn, verbs)
			left := <-n - 1
			if left == 0 {
				idle.Reset(s.idle)
			}
			n <- left
		})
	}
	// Who is told to end does so, whatever a build is stuck in: what it leaves the next one clears away.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopPatience, func() { os.Exit(1) }) })()
	busy.Wait()
}

// pull has podc-image fetch an image: with the environment of whoever asks, and credentials never reach this process.
func (s *server) pull(ctx context.Context, ref string, env map[string]string, tell func(api.Progress)) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p := helper.Program{Path: filepath.Join(filepath.Dir(self), podcimage.Program), Dir: "/", Env: env, Deadline: podcimage.Deadline}
	return podcimage.Client{Helper: p, Root: s.root, RunRoot: s.runRoot}.Pull(ctx, ref, tell)
}

func (s *server) build(ctx context.Context, c *helper.Call, req podcbuild.BuildRequest) (podcbuild.BuildReply, error) {
	id, err := s.builder.Build(ctx, req.Build, req.Env, req.ID, c.Tell)
	return podcbuild.BuildReply{Image: id}, err
}
