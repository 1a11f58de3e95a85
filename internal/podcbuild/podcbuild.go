// Package podcbuild is what podc-build is asked and answers, and the asking. It links nothing of BuildKit's.
//
// podc-build serves a private socket for as long as somebody builds, and a moment longer: BuildKit's databases admit one process, and
// the second build finds them open. Nobody has to start or stop it.
package podcbuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/kernel"
)

// Program is the name of the helper.
const Program = "podc-build"

// Verbs that are asked over the socket.
const (
	Build = "build" // BuildRequest, BuildReply
)

// Serve is the argument with which podc-build serves its socket.
const Serve = "serve"

// Clear is the argument with which it takes away what one that died has left.
const Clear = "clear"

// BuildRequest asks for an image.
type BuildRequest struct {
	ID    string            `json:"id"` // the ParentID of its progress
	Build api.Build         `json:"build"`
	Env   map[string]string `json:"env"` // of whoever asks
}

// BuildReply says which it is.
type BuildReply struct {
	Image string `json:"image"` // its ID
}

// Socket is where podc-build is asked, below a run root.
func Socket(runRoot string) string { return filepath.Join(runRoot, "build", "socket") }

// Lock is held by whoever serves the socket.
func Lock(runRoot string) string { return filepath.Join(runRoot, "build", "lock") }

// Client asks podc-build.
type Client struct {
	Helper        helper.Program
	Root, RunRoot string
}

// startPatience bounds the start of podc-build.
const startPatience = 30 * time.Second

// Build makes an image and returns its ID. Secrets are read here, and sent along: they are those of whoever asks. Ending ctx gives
// the build up.
func (c Client) Build(ctx context.Context, b api.Build, tell func(api.Progress)) (string, error) {
	if err := Check(b); err != nil {
		return "", err
	}
	req := BuildRequest{ID: "build", Build: b, Env: c.Helper.Env}
	req.Build.Secrets = slices.Clone(b.Secrets)
	for i := range req.Build.Secrets {
		if err := c.read(&req.Build.Secrets[i]); err != nil {
			return "", err
		}
	}
	req.Build.SSH = maps.Clone(b.SSH)
	for id, path := range b.SSH {
		if path == "" {
			path = c.Helper.Env["SSH_AUTH_SOCK"]
		}
		if path == "" {
			return "", fault.Invalid("cannot use the SSH agent of a build: SSH_AUTH_SOCK is not set, and no path is given for %q", id)
		}
		req.Build.SSH[id] = path
	}
	var reply BuildReply
	err := c.ask(ctx, helper.Question{Verb: Build, Request: req, Tell: tell}, &reply)
	return reply.Image, err
}

// maxDockerfile bounds a Dockerfile in bytes.
const maxDockerfile = 16 << 20

// Dockerfile is the path of the Dockerfile of a build whose context is a folder.
func Dockerfile(b api.Build) string {
	return cmp.Or(b.Dockerfile, filepath.Join(b.Context, "Dockerfile"))
}

// Check refuses a build whose context or Dockerfile is not there, before anything is started for it.
func Check(b api.Build) error {
	if api.RemoteContext(b.Context) {
		return nil
	}
	if fi, err := os.Stat(b.Context); err != nil {
		return fault.New(errdefs.ErrNotFound, "cannot use the build context %s: %w", b.Context, disk.Pathless(err))
	} else if !fi.IsDir() {
		return fault.Invalid("cannot use the build context %s: it is no folder", b.Context)
	}
	if b.Inline != "" {
		return nil
	}
	_, err := ReadDockerfile(b)
	return err
}

// ReadDockerfile reads the Dockerfile of a build whose context is a folder. It is an ordinary file: others would be read to their end,
// and might have none.
func ReadDockerfile(b api.Build) ([]byte, error) {
	text, err := disk.ReadRegular(Dockerfile(b), maxDockerfile)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fault.New(errdefs.ErrNotFound, "cannot read the Dockerfile %s: no such file or directory", Dockerfile(b))
	case err != nil:
		return nil, fault.Invalid("cannot read the Dockerfile %s: %w", Dockerfile(b), disk.Pathless(err))
	}
	return text, nil
}

// maxSecret is the most that a secret of a build has, in bytes; BuildKit's own limit.
const maxSecret = 500 << 10

// read reads the content of a secret.
func (c Client) read(s *api.BuildSecret) (err error) {
	switch {
	case s.File != "":
		if s.Content, err = disk.ReadGiven(s.File, maxSecret); err != nil {
			return fault.Invalid("cannot read the secret %q of a build: %w", s.ID, err)
		}
	case s.Env != "":
		value, ok := c.Helper.Env[s.Env]
		if !ok {
			return fault.Invalid("cannot use the secret %q of a build: the variable %s is not set", s.ID, s.Env)
		}
		s.Content = []byte(value)
	}
	s.File, s.Env = "", ""
	return nil
}

// ask asks whoever serves the socket, and starts podc-build where nobody does.
func (c Client) ask(ctx context.Context, q helper.Question, reply any) error {
	for attempt := 0; ; attempt++ {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", Socket(c.RunRoot))
		if err == nil {
			err = helper.AskConn(ctx, conn, q, reply)
			if errors.Is(err, helper.ErrDied) {
				return errors.Join(fault.Hint(fmt.Errorf("%s died: %w", Program, err), "what it said last is in %s", c.log()), c.Clear(context.WithoutCancel(ctx)))
			}
			if !errors.Is(err, helper.ErrHungUp) {
				return err
			}
		} else if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("cannot ask %s: %w", Program, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if attempt == 3 {
			return fault.Hint(fmt.Errorf("cannot ask %s: %w", Program, err), "see %s", c.log())
		}
		if err := c.start(ctx); err != nil {
			return err
		}
	}
}

// log is what podc-build says that nobody asked for.
func (c Client) log() string { return filepath.Join(c.RunRoot, "build", "log") }

// Left lists what a podc-build that died has left running or mounted; nothing while one serves.
func (c Client) Left() []string {
	if disk.Held(Lock(c.RunRoot)) {
		return nil
	}
	left, _ := filepath.Glob(filepath.Join(c.RunRoot, "build", "steps", "*"))
	networks, _ := filepath.Glob(filepath.Join(c.Root, "build", "networks", "*"))
	return append(left, networks...)
}

// Stop ends podc-build, and the builds that are under way, and returns when it is gone.
func (c Client) Stop(ctx context.Context) error {
	if pid := disk.Holder(Lock(c.RunRoot)); pid > 0 && disk.Held(Lock(c.RunRoot)) {
		_ = kernel.Find(pid).Signal(unix.SIGTERM) // it may have ended by itself
	}
	return disk.Await(ctx, Lock(c.RunRoot))
}

// Clear takes that away.
func (c Client) Clear(ctx context.Context) error { return c.run(ctx, Clear) }

// start starts podc-build and returns once it can be asked.
func (c Client) start(ctx context.Context) error { return c.run(ctx, "start") }

func (c Client) run(ctx context.Context, arg string) error {
	p := c.Helper
	p.Args, p.Deadline = []string{"--root", c.Root, "--runroot", c.RunRoot}, startPatience
	var said strings.Builder
	err := p.Run(ctx, helper.Run{Args: []string{arg}, Stdout: &said, Stderr: func(line []byte) { said.Write(append(line, '\n')) }})
	if err != nil && said.Len() > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return err
}
