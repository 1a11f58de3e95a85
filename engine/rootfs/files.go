package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/oci"
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

// maxAccountFile bounds what is read of an image's passwd and group files.
const maxAccountFile = 4 << 20

// LookupUser resolves "name|uid[:group|gid]" and further groups against the account files inside root. Nothing in root is
// trusted: links stay within it, and only regular files are read (a FIFO in their place would block, CVE-2024-9676).
func LookupUser(root, spec string, groups []string) (oci.Identity, error) {
	passwd, err := readAccounts(root, "/etc/passwd")
	if err != nil {
		return oci.Identity{}, err
	}
	group, err := readAccounts(root, "/etc/group")
	if err != nil {
		return oci.Identity{}, err
	}
	u, err := user.GetExecUser(spec, &user.ExecUser{Home: "/"}, strings.NewReader(passwd), strings.NewReader(group))
	if err != nil {
		if errors.Is(err, user.ErrNoPasswdEntries) {
			err = user.ErrNoPasswdEntries // the rest says the same again
		}
		return oci.Identity{}, fault.New(errdefs.ErrInvalidArgument, "cannot find user %q in the image: %w", spec, err)
	}
	id := oci.Identity{UID: u.Uid, GID: u.Gid, Groups: append([]int{u.Gid}, u.Sgids...), Home: u.Home}
	if len(groups) > 0 {
		more, err := user.GetAdditionalGroups(groups, strings.NewReader(group))
		if err != nil {
			return oci.Identity{}, fault.New(errdefs.ErrInvalidArgument, "cannot find groups %q in the image: %w", groups, err)
		}
		id.Groups = append(id.Groups, more...)
	}
	slices.Sort(id.Groups)
	id.Groups = slices.Compact(id.Groups)
	return id, nil
}

// readAccounts returns the content of an account file, or nothing if the image has none.
func readAccounts(root, path string) (string, error) {
	f, err := OpenIn(root, path, os.O_RDONLY|unix.O_NONBLOCK)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the image's accounts: %w", err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return "", errors.Join(err, fmt.Errorf("cannot read the image's accounts: %s in it is not a regular file", path))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxAccountFile))
	return string(b), err
}
