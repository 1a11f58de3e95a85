package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The floor of up and down is what the runtime alone takes for containers of the same configuration, seccomp included, each
// with namespaces of its own: whatever podc takes more is what it adds.

// floor measures crun run, then crun kill and delete, of one bare container for each bundle, eight at once.
func (b *bench) floor(bundles []string) (up, down sample, err error) {
	state := filepath.Join(b.dir, "crun")
	crun := func(args ...string) (sample, error) {
		return timed(exec.Command("crun", append([]string{"--root", state}, args...)...))
	}
	up, err = parallel(len(bundles), func(i int) (sample, error) {
		return crun("run", "--detach", "--bundle", bundles[i], fmt.Sprint("bare", i))
	})
	if err != nil {
		return up, down, err
	}
	down, err = parallel(len(bundles), func(i int) (sample, error) {
		name := fmt.Sprint("bare", i)
		kill, err := crun("kill", name, "KILL")
		if err != nil {
			return kill, err
		}
		// delete refuses while the process is on its way out.
		for {
			del, err := crun("delete", name)
			if err == nil || !strings.Contains(err.Error(), "stopped") {
				return sample{cpu: kill.cpu + del.cpu}, err
			}
			<-time.After(time.Millisecond)
		}
	})
	return up, down, err
}

// bareBundles derives bundles from the configuration that podc itself made for a service of the same kind.
func (b *bench) bareBundles(size int) ([]string, error) {
	if _, err := timed(b.podc("up", "-d", "s00")); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(b.dir, "root", "pods", "bench-s00-1", "main", "config.json"))
	if err != nil {
		return nil, err
	}
	etc := filepath.Join(b.dir, "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return nil, err
	}
	var bundles []string
	for i := range size {
		var s specs.Spec
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		s.Root.Path = b.rootfs
		s.Linux.CgroupsPath = fmt.Sprintf("/podc-bench/%d", i)
		for j := range s.Linux.Namespaces {
			s.Linux.Namespaces[j].Path = ""
		}
		for j, m := range s.Mounts {
			if m.Type == "bind" {
				path := filepath.Join(etc, filepath.Base(m.Destination))
				if err := os.WriteFile(path, nil, 0o644); err != nil {
					return nil, err
				}
				s.Mounts[j].Source = path
			}
		}
		dir, err := b.writeBundle(fmt.Sprint(i), s)
		if err != nil {
			return nil, err
		}
		bundles = append(bundles, dir)
	}
	_, err = timed(b.podc("down"))
	return bundles, err
}

// writeBundle writes the configuration of a bundle, and returns the bundle's folder.
func (b *bench) writeBundle(name string, s specs.Spec) (string, error) {
	config, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.dir, "bundles", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644)
}

// runTrue measures a one-off beside a running project. Its floor is the runtime alone with the configuration of bundle.
func (b *bench) runTrue(size int, bundle string) error {
	bare, err := b.trueBundle(bundle)
	if err != nil {
		return err
	}
	run := func() (sample, error) { return timed(b.podc("run", "-q", "--rm", "-T", "s00", "true")) }
	if _, err := run(); err != nil { // the first warms up
		return err
	}
	got, floor, err := b.inTurn(run, func() (sample, error) {
		return timed(exec.Command("crun", "--root", filepath.Join(b.dir, "crun"), "run", "--bundle", bare, "bare-true"))
	})
	if err != nil {
		return err
	}
	b.results = append(b.results, row(fmt.Sprintf("run --rm true (%d)", size), got, "crun run", floor, 0))
	return nil
}

// trueBundle derives a bundle whose container ends at once.
func (b *bench) trueBundle(bundle string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		return "", err
	}
	var s specs.Spec
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", err
	}
	s.Process.Args, s.Linux.CgroupsPath = []string{"true"}, "/podc-bench/true"
	return b.writeBundle("true", s)
}

// peers measures up and down with docker compose and podman-compose where they work on this machine.
func (b *bench) peers(size int) error {
	for _, p := range []struct {
		name  string
		probe []string
		cmd   []string
	}{
		{"docker compose", []string{"docker", "compose", "ls"}, []string{"docker", "compose"}},
		{"podman-compose", []string{"podman-compose", "version"}, []string{"podman-compose"}},
	} {
		if exec.Command(p.probe[0], p.probe[1:]...).Run() != nil {
			continue
		}
		run := func(args ...string) (sample, error) {
			cmd := exec.Command(p.cmd[0], append(p.cmd[1:], args...)...)
			cmd.Dir = b.dir
			cmd.Env = append(os.Environ(), "COMPOSE_PROJECT_NAME=bench")
			return timed(cmd)
		}
		up, err := run("up", "-d")
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s is there but fails (is the image %s loaded?): %v\n", p.name, "localhost/podc-busybox", err)
			continue
		}
		down, err := run("down")
		if err != nil {
			return err
		}
		b.results = append(b.results, row(fmt.Sprintf("up %d, %s", size, p.name), up, "", sample{}, 0), row(fmt.Sprintf("down %d, %s", size, p.name), down, "", sample{}, 0))
	}
	return nil
}
