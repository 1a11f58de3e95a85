// Package vm makes and runs machines on which podc is tested as its users have it: Debian with its own kernel, systemd, cgroups v2,
// AppArmor, login sessions. They run in software emulation, 5 to 20 times slower than the host, so that any host will do.
package vm

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"podc.example/podc/internal/disk"
)

//go:embed recipe
var recipe embed.FS

// Disk is a folder with what a machine starts from: disk.raw, vmlinuz, initrd.img, and key, with which root and dev log in.
type Disk struct{ dir string }

func (d Disk) file(name string) string { return filepath.Join(d.dir, name) }

// unused is how long a disk is kept after its last use. Another working tree may have made it from another recipe.
const unused = 48 * time.Hour

// cacheDir is where disks are kept: $PODC_VM_CACHE, or a folder in the user's cache.
func cacheDir() (string, error) {
	if dir := os.Getenv("PODC_VM_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil { // no $HOME
		dir = "/var/cache"
	}
	return filepath.Join(dir, "podc-vm"), nil
}

// Make returns the disk of a Debian suite ("bookworm"), which is made anew if the recipe has changed since; that takes minutes, as
// root. Several processes may make the same one at once.
func Make(ctx context.Context, suite string) (Disk, error) {
	cache, err := cacheDir()
	if err != nil {
		return Disk{}, err
	}
	hash, err := recipeHash()
	if err != nil {
		return Disk{}, err
	}
	d := Disk{filepath.Join(cache, suite+"-"+hash)}
	lock, err := disk.LockWait(ctx, d.dir+".lock", disk.Wait{For: "the disk of " + suite, Patience: time.Hour})
	if err != nil {
		return d, fmt.Errorf("another process makes the disk of %s, and did not end in time: %w", suite, err)
	}
	defer lock.Unlock()
	now := time.Now()
	if os.Chtimes(d.dir, now, now) == nil { // its use counts
		return d, nil
	}
	if os.Geteuid() != 0 {
		return d, fmt.Errorf("cannot make the disk of %s: only root can", suite)
	}
	work, err := os.MkdirTemp(cache, suite+"-new-")
	if err != nil {
		return d, err
	}
	defer os.RemoveAll(work)
	if err := build(ctx, suite, work); err != nil {
		return d, fmt.Errorf("cannot make the disk of %s: %w", suite, err)
	}
	forget(cache)
	return d, os.Rename(work, d.dir)
}

// forget removes what has not been used for long, and what killed builds have left.
func forget(cache string) {
	entries, _ := os.ReadDir(cache)
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && fi.IsDir() && time.Since(fi.ModTime()) > unused {
			os.RemoveAll(filepath.Join(cache, e.Name()))
		}
	}
}

func recipeHash() (string, error) {
	h := sha256.New()
	err := fs.WalkDir(recipe, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := recipe.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(b), b)
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil))[:16], err
}

// build makes a disk in dir.
func build(ctx context.Context, suite, dir string) error {
	if err := os.CopyFS(dir, recipe); err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	root, key, steps := at("root"), at("key"), at("recipe")
	if err := run(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key); err != nil {
		return err
	}
	packages, err := os.ReadFile(filepath.Join(steps, "packages"))
	if err != nil {
		return err
	}
	sources, err := mirrors(ctx, suite)
	if err != nil {
		return err
	}
	args := []string{"--mode=root", "--variant=minbase", "--include=" + strings.Join(words(string(packages)), ","),
		"--aptopt=APT::Install-Recommends \"false\"", "--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		fmt.Sprintf(`--customize-hook=sh %s/customize.sh "$1" %s.pub`, steps, key),
		fmt.Sprintf(`--customize-hook=sh %s/initrd.sh "$1" %s %s/init.sh`, steps, at("initrd.img"), steps),
		suite, root}
	cmd := command(ctx, "mmdebstrap", append(args, sources...)...)
	cmd.Env = append(os.Environ(), "INITRD=No") // Debian's own, see initrd.sh
	// What it mounts in root, such as /proc, goes with it, however it ends: a later removal of root must not meet the host's own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := output(cmd); err != nil {
		return err
	}
	kernels, err := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		return errors.Join(fmt.Errorf("the packages brought %d kernels", len(kernels)), err)
	}
	if err := os.Rename(kernels[0], at("vmlinuz")); err != nil {
		return err
	}
	if err := run(ctx, "/sbin/mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, at("disk.raw"), "8G"); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(root), os.RemoveAll(steps))
}

// words lists the words of a text with comments.
func words(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			list = append(list, strings.Fields(line)...)
		}
	}
	return list
}

// mirrors are the sources of a suite, from where this machine gets Debian's packages itself, if it does.
func mirrors(ctx context.Context, suite string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(ORIGIN)/$(LABEL) $(REPO_URI)").Output()
	if err != nil {
		return nil, fmt.Errorf("apt-get indextargets: %w", err)
	}
	main, security := "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
	for line := range strings.Lines(string(out)) {
		switch label, uri, _ := strings.Cut(strings.TrimSpace(line), " "); label {
		case "Debian/Debian":
			main = uri
		case "Debian/Debian-Security":
			security = uri
		}
	}
	return []string{
		fmt.Sprintf("deb %s %s main", main, suite), fmt.Sprintf("deb %s %s-updates main", main, suite),
		fmt.Sprintf("deb %s %s-security main", security, suite),
	}, nil
}

// command is a program that ends with ctx.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	return cmd
}

func run(ctx context.Context, name string, args ...string) error {
	return output(command(ctx, name, args...))
}

// output runs cmd; its error has the last of what it printed.
func output(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out[max(0, len(out)-4000):])
	}
	return nil
}
