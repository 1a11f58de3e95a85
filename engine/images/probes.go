package images

import (
	"os"
	"path/filepath"
	"regexp"

	"go.podman.io/storage/pkg/lockfile"
	"golang.org/x/sys/unix"
)

// probeFolder matches the folders, beside those of the layers, in which containers/storage tries out what overlays can do.
var probeFolder = regexp.MustCompile(`^(compat|opaque-bug-check|metacopy-check|volatile-check)[0-9]+$`)

// clearProbes removes the folders, and the mounts in them, that a process left which died while it opened the store. They
// are made under the store's lock, so whoever holds it knows that nobody needs them. What cannot go, Check tells.
func clearProbes(graphRoot string) {
	home := filepath.Join(graphRoot, "overlay")
	entries, err := os.ReadDir(home)
	if err != nil {
		return // no store yet, or one of another driver
	}
	var probes []string
	for _, e := range entries {
		if probeFolder.MatchString(e.Name()) {
			probes = append(probes, filepath.Join(home, e.Name()))
		}
	}
	if len(probes) == 0 {
		return
	}
	lock, err := lockfile.GetLockFile(filepath.Join(graphRoot, "storage.lock"))
	if err != nil {
		return
	}
	lock.Lock()
	defer lock.Unlock()
	for _, dir := range probes {
		unix.Unmount(filepath.Join(dir, "merged"), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		os.RemoveAll(dir)
	}
}
