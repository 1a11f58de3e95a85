package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// cgroupParent holds the cgroups of the engine's containers.
const cgroupParent = "docker-compared"

// patience bounds the start and the end of the engine.
const patience = 2 * time.Minute

// engine is a Docker engine that nothing else on the machine sees.
type engine struct {
	dir, socket string
	daemon      *exec.Cmd
	ended       chan error
}

// startEngine starts the engine whose packages are unpacked below debian, and returns once it answers.
func startEngine(ctx context.Context, debian string) (*engine, error) {
	dir, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return nil, err
	}
	e := &engine{dir: dir, socket: filepath.Join(dir, "docker.sock"), ended: make(chan error, 1)}
	at := func(name string) string { return filepath.Join(dir, name) }
	log, err := os.Create(at("log"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer log.Close()
	if err := os.WriteFile(at("daemon.json"), []byte("{}"), 0o644); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	bin := func(name string) string { return filepath.Join(debian, "usr/sbin", name) }
	lib := filepath.Join(debian, "usr/lib", libraries())
	e.daemon = exec.Command(bin("dockerd"), "--config-file", at("daemon.json"), "--data-root", at("root"), "--exec-root", at("exec"),
		"--host", "unix://"+e.socket, "--pidfile", at("pid"), "--group", "0", "--exec-opt", "native.cgroupdriver=cgroupfs",
		"--cgroup-parent", "/"+cgroupParent, "--userland-proxy-path", bin("docker-proxy"), "--log-level", "warn")
	e.daemon.Env = append(os.Environ(), "PATH="+filepath.Join(debian, "usr/sbin")+":"+filepath.Join(debian, "usr/bin")+":"+os.Getenv("PATH"),
		"LD_LIBRARY_PATH="+lib, "XTABLES_LIBDIR="+filepath.Join(lib, "xtables"))
	e.daemon.Stdout, e.daemon.Stderr = log, log
	e.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Unshareflags: syscall.CLONE_NEWNS}
	started := make(chan error)
	go e.live(started)
	err = <-started
	if err == nil {
		err = e.await(ctx)
	}
	if err != nil {
		said, _ := os.ReadFile(at("log"))
		return nil, errors.Join(fmt.Errorf("the Docker engine does not come up: %w\n%s", err, said), e.stop())
	}
	return e, nil
}

// libraries is the folder of a Debian machine's libraries below /usr/lib.
func libraries() string {
	return map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
}

// live starts the daemon in a network namespace of its own and waits for its end. The thread is the daemon's parent, so that it
// ends with this process, and is not used again.
func (e *engine) live(started chan<- error) {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		var lo netlink.Link
		if lo, err = netlink.LinkByName("lo"); err == nil {
			err = netlink.LinkSetUp(lo)
		}
	}
	if err == nil {
		err = e.daemon.Start()
	}
	started <- err
	if err != nil {
		e.ended <- nil
		return
	}
	e.ended <- e.daemon.Wait()
}

// await returns once the engine listens.
func (e *engine) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("unix", e.socket); err == nil {
			return c.Close()
		}
		select {
		case err := <-e.ended:
			e.ended <- err
			return fmt.Errorf("it has ended: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// stop ends the engine, which ends its containers, and removes all that was its own.
func (e *engine) stop() error {
	var err error
	if p := e.daemon.Process; p != nil {
		p.Signal(syscall.SIGTERM)
		select {
		case <-e.ended:
		case <-time.After(patience):
			p.Kill()
			<-e.ended
			err = fmt.Errorf("the Docker engine had to be killed: it did not end within %s", patience)
		}
	}
	return errors.Join(err, os.RemoveAll(e.dir), removeCgroups())
}

// removeCgroups removes the cgroups that the engine leaves, which are empty.
func removeCgroups() error {
	var dirs []string
	for _, pattern := range []string{"/sys/fs/cgroup/" + cgroupParent, "/sys/fs/cgroup/*/" + cgroupParent} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, top := range found {
			filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
		}
	}
	var errs []error
	for _, dir := range slices.Backward(dirs) {
		errs = append(errs, unix.Rmdir(dir))
	}
	return errors.Join(errs...)
}
