package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// composeVersion is the docker compose that podc is compared with. A newer one needs a newer Go.
const composeVersion = "v5.6.0"

// dockerCompose builds docker compose in cache, unless it is there, and returns the path of the program docker-compose.
func dockerCompose(ctx context.Context, cache string) (string, error) {
	dir := filepath.Join(cache, "docker-compose-"+composeVersion)
	return filepath.Join(dir, "docker-compose"), once(dir, func(dir string) error {
		const module = "github.com/docker/compose/v5"
		for _, args := range [][]string{
			{"mod", "init", "compare"},
			{"get", module + "/cmd@" + composeVersion}, // `go install` refuses a module with exclude directives
			{"build", "-o", "docker-compose", "-ldflags", "-s -w -X " + module + "/internal.Version=" + composeVersion, module + "/cmd"},
		} {
			if err := runIn(ctx, dir, []string{"GOFLAGS=-mod=mod -trimpath", "CGO_ENABLED=0", "GOWORK=off"}, "go", args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// enginePackages are the engine and what it needs that a machine may not have.
var enginePackages = []string{"docker.io", "containerd", "runc", "tini", "libdevmapper1.02.1", "iptables", "libxtables12", "libip4tc2", "libip6tc2",
	"libmnl0", "libnftnl11", "libnfnetlink0", "libnetfilter-conntrack3"}

// dockerEngine unpacks Debian's Docker engine in cache, unless it is there, and returns the folder that stands for its /.
func dockerEngine(ctx context.Context, cache string) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-cache", "policy", "docker.io").Output()
	_, version, ok := strings.Cut(string(out), "Candidate: ")
	version, _, _ = strings.Cut(version, "\n")
	if err != nil || !ok || version == "(none)" {
		return "", fmt.Errorf("apt knows no package docker.io (apt-get update): %w", err)
	}
	dir := filepath.Join(cache, "docker-engine-"+strings.NewReplacer("/", "_", ":", "_").Replace(version))
	return dir, once(dir, func(dir string) error {
		if err := runIn(ctx, dir, nil, "apt-get", append([]string{"download", "-q"}, enginePackages...)...); err != nil {
			return err
		}
		debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
		if err != nil {
			return err
		}
		for _, deb := range debs {
			if err := runIn(ctx, dir, nil, "dpkg-deb", "-x", deb, "."); err != nil {
				return err
			}
			if err := os.Remove(deb); err != nil {
				return err
			}
		}
		// What Debian's alternatives would do.
		return os.Symlink("xtables-nft-multi", filepath.Join(dir, "usr/sbin/iptables"))
	})
}

// once fills dir with make, unless that was done before. Another process may do so at the same time.
func once(dir string, make func(dir string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	fmt.Println("compare: making", dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	half, err := os.MkdirTemp(filepath.Dir(dir), "half-made-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(half)
	if err := os.Chmod(half, 0o755); err != nil {
		return err
	}
	if err := make(half); err != nil {
		return err
	}
	if err := os.Rename(half, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			return err
		}
	}
	return nil
}

func runIn(ctx context.Context, dir string, env []string, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", program, args[0], err, out)
	}
	return nil
}
