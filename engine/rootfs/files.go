package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// Configs and secrets lie on a tmpfs of the pod: never on disk, never in a layer, never in saved state. It stays from the
// pod's creation to its removal, so that a restart needs nobody who knows the content.

// MaxFile bounds a config, as swarm does; a secret, for whoever tells them apart, is half as large at most.
const MaxFile = 1000 << 10

// LoadFiles reads the files that come from the host, so that a missing or oversized one is refused before any effect.
func LoadFiles(files []api.File) ([]api.File, error) {
	loaded := make([]api.File, len(files))
	for i, f := range files {
		if f.Source != "" {
			b, err := disk.ReadRegular(f.Source, MaxFile)
			if err != nil {
				return nil, fmt.Errorf("cannot read %s for %s: %w", f.Source, f.Target, err)
			}
			f.Content = b
		}
		if len(f.Content) > MaxFile {
			return nil, fault.New(errdefs.ErrInvalidArgument, "the file for %s is larger than %d KiB", f.Target, MaxFile>>10)
		}
		loaded[i] = f
	}
	return loaded, nil
}

// WriteFiles puts the contents on a fresh tmpfs at dir, numbered in the order of files. Owners follow when the image's
// accounts can be read (OwnFiles).
func WriteFiles(dir string, files []api.File) error {
	if len(files) == 0 {
		return nil
	}
	if err := RemoveFiles(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Swap is disk too: noswap (Linux 6.4) keeps secrets off it where it can.
	err := unix.Mount("podc-files", dir, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0711,noswap")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("podc-files", dir, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0711")
	}
	if err != nil {
		return fmt.Errorf("cannot mount the folder of configs and secrets: %w", err)
	}
	// The first comes last, and into its place in one step: where it is, all are (HasFiles).
	for i, f := range slices.Backward(files) {
		mode := uint32(0o444)
		if f.Mode != nil {
			mode = *f.Mode
		}
		path := filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(path+".new", f.Content, 0o600); err != nil {
			return err
		}
		if err := errors.Join(unix.Chmod(path+".new", mode&0o7777), os.Rename(path+".new", path)); err != nil {
			return err
		}
	}
	return nil
}

// OwnFiles gives each file the owner asked for, by number or by a name of the image, and returns the mounts.
func OwnFiles(dir, root string, files []api.File) ([]specs.Mount, error) {
	var mounts []specs.Mount
	for i, f := range files {
		path := filepath.Join(dir, strconv.Itoa(i))
		if _, err := os.Stat(path); err != nil {
			return nil, fault.New(errdefs.ErrFailedPrecondition, "the content of %s is gone, as after a reboot: bring the container up anew", f.Target)
		}
		if f.UID != "" || f.GID != "" {
			id, err := LookupUser(root, cmp.Or(f.UID, "0")+":"+cmp.Or(f.GID, "0"), nil)
			if err != nil {
				return nil, err
			}
			if err := os.Chown(path, id.UID, id.GID); err != nil {
				return nil, err
			}
		}
		mounts = append(mounts, specs.Mount{Destination: f.Target, Type: "bind", Source: path, Options: []string{"bind", "rprivate", "ro", "nosuid", "nodev", "noexec"}})
	}
	return mounts, nil
}

func HasFiles(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "0"))
	return err == nil
}

// RemoveFiles forgets the files. Idempotent.
func RemoveFiles(dir string) error {
	if err := disk.Unmount(dir); err != nil {
		return err
	}
	return disk.RemoveTree(dir)
}
