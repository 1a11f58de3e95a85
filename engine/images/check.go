package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/lockfile"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podcimage"
)

// Check lists what is wrong with the store: by its own account (missing layers and data), and images that Resolve would
// call damaged. With deep it also mounts every layer and computes its digest again, which reads everything. With repair it
// removes damaged layers and images, never containers, and the reply lists what is still wrong.
func (s *Store) Check(deep, repair bool) (*podcimage.CheckReply, error) {
	report, problems, err := s.examine(deep)
	if err != nil {
		return nil, err
	}
	if !repair || len(problems) == 0 {
		return &podcimage.CheckReply{Problems: problems}, nil
	}
	errs := s.store.Repair(report, &storage.RepairOptions{})
	if err := s.scratch.clear(); err != nil {
		errs = append(errs, err)
	}
	_, left, err := s.examine(deep)
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	reply := &podcimage.CheckReply{Problems: left}
	for _, p := range problems {
		if !slices.Contains(left, p) {
			reply.Repaired = append(reply.Repaired, fmt.Sprintf("%s %s: %s", p.Kind, p.Object, p.Detail))
		}
	}
	for _, err := range errs {
		reply.Problems = append(reply.Problems, api.Problem{Kind: "repair", Object: s.store.GraphRoot(), Detail: err.Error()})
	}
	return reply, nil
}

func (s *Store) examine(deep bool) (storage.CheckReport, []api.Problem, error) {
	options := &storage.CheckOptions{LayerData: true, ImageData: true, ContainerData: true}
	if deep {
		options = storage.CheckMost()
	}
	report, err := s.store.Check(options)
	if err != nil {
		return report, nil, fmt.Errorf("cannot check the image store %s: %w", s.store.GraphRoot(), err)
	}
	var problems []api.Problem
	for kind, found := range map[string]map[string][]error{
		"layer": report.Layers, "image": report.Images, "storage container": report.Containers,
		"read-only layer": report.ROLayers, "read-only image": report.ROImages,
	} {
		for _, id := range slices.Sorted(maps.Keys(found)) {
			problems = append(problems, api.Problem{Kind: kind, Object: short(id), Detail: joined(found[id])})
		}
	}
	slices.SortStableFunc(problems, func(a, b api.Problem) int { return strings.Compare(a.Kind, b.Kind) })
	more, err := s.unresolvable(report)
	return report, slices.Concat(problems, more, s.scratch.left()), err
}

// unresolvable finds the images that the store thinks whole and podc could not run.
func (s reader) unresolvable(report storage.CheckReport) ([]api.Problem, error) {
	snap, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	var problems []api.Problem
	for i := range snap.images {
		img := &snap.images[i]
		if _, known := report.Images[img.ID]; known {
			continue
		}
		if _, err := s.image(snap, img, label(img.Names, img.ID)); err != nil {
			problems = append(problems, api.Problem{Kind: "image", Object: short(img.ID), Detail: err.Error()})
		}
	}
	return problems, nil
}

func joined(errs []error) string {
	var s []string
	for _, err := range errs {
		s = append(s, err.Error())
	}
	return strings.Join(s, "; ")
}

// indexes are the files in which containers/storage keeps what a store holds, with the only driver that is served.
func indexes(graphRoot string) []string {
	return []string{
		filepath.Join(graphRoot, "overlay-images", "images.json"),
		filepath.Join(graphRoot, "overlay-layers", "layers.json"),
		filepath.Join(graphRoot, "overlay-containers", "containers.json"),
	}
}

// checkIndexes finds an index that cannot be read, before containers/storage waits for a FIFO or takes "null" for an empty store.
// The error is errdefs.IsDataLoss.
func checkIndexes(graphRoot string) error {
	for _, path := range indexes(graphRoot) {
		var list []json.RawMessage
		if err := disk.ReadJSON(path, &list); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.New(errdefs.ErrDataLoss, "%w: take down what uses its images, move the file away, and load or pull them anew", err)
		}
	}
	return nil
}

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
