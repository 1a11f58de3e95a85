package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/storage"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podcimage"
)

// Resolve says what each reference means here. One that means nothing, or only an image for another platform, is missing
// and no error; a damaged image, or one whose config is nonsense, is an error that says what to do.
//
// With a group that is not empty the images are pinned for it (see Pin), in the same instant as the answer.
func (s *Store) Resolve(ctx context.Context, refs []string, group string) (*podcimage.ResolveReply, error) {
	if err := s.runnable(); err != nil {
		return nil, err
	}
	for range 8 {
		inputs, err := s.inputs()
		if err != nil {
			return nil, err
		}
		snap, err := s.snapshot()
		if err != nil {
			return nil, err
		}
		reply, err := s.resolve(snap, refs)
		if err != nil {
			return nil, err
		}
		reply.Inputs = inputs
		unpinned := snap.unpinned(s.rootID, group, reply.Images)
		if group == "" || len(unpinned) == 0 {
			return reply, nil
		}
		// Pinning changes the store, and others may have: look again, so that the answer is of one instant.
		if err := s.Pin(ctx, group, unpinned); err != nil && !errdefs.IsNotFound(err) {
			return nil, err
		}
	}
	return nil, fault.New(errdefs.ErrUnavailable, "images were removed as fast as they could be pinned")
}

func (s reader) resolve(snap *snapshot, refs []string) (*podcimage.ResolveReply, error) {
	reply := &podcimage.ResolveReply{Images: map[string]api.Image{}, Why: map[string]string{}}
	var errs []error
	for _, ref := range refs {
		img, err := snap.must(ref)
		if errdefs.IsNotFound(err) {
			reply.Missing = append(reply.Missing, ref)
			continue
		}
		var full *api.ImageDetails
		if err == nil {
			full, err = s.image(snap, img, ref)
		}
		if err != nil {
			errs = append(errs, err)
		} else if why := wrongPlatform(full.Config); why != "" {
			reply.Missing = append(reply.Missing, ref)
			reply.Why[ref] = why
		} else {
			reply.Images[ref] = full.Image
		}
	}
	return reply, errors.Join(errs...)
}

func wrongPlatform(c api.ImageConfig) string {
	if (c.OS == "" || c.OS == runtime.GOOS) && (c.Architecture == "" || c.Architecture == runtime.GOARCH) {
		return ""
	}
	return fmt.Sprintf("is for %s/%s, and this host runs %s/%s", c.OS, c.Architecture, runtime.GOOS, runtime.GOARCH)
}

// image gathers all that is known about img; ref is how the user called it.
func (s reader) image(snap *snapshot, img *storage.Image, ref string) (*api.ImageDetails, error) {
	raw, err := s.rawConfig(img)
	if err != nil {
		return nil, damaged(ref, err.Error())
	}
	c, err := parseConfig(raw)
	if err != nil {
		return nil, fault.New(errdefs.ErrInvalidArgument, "image %q cannot be run: %w", ref, err)
	}
	layers, err := s.layers(snap, img, ref, c.RootFS.DiffIDs)
	if err != nil {
		return nil, err
	}
	sum := snap.summary(img)
	d := &api.ImageDetails{
		Image: api.Image{ID: sum.ID, Digest: sum.Digest, Names: sum.Names, Size: sum.Size, Created: sum.Created,
			Config: c.ImageConfig, Layers: layers},
		History: c.History, Author: c.Author, UsedBy: sum.UsedBy, DiffIDs: []string{},
	}
	for _, id := range c.RootFS.DiffIDs {
		d.DiffIDs = append(d.DiffIDs, id.String())
	}
	measureHistory(d.History, snap.chain(img))
	return d, nil
}

// measureHistory notes how large the layers are that the steps of a build have made. layers are in the order of chain; a history
// that does not tell of as many layers is of no use.
func measureHistory(history []api.ImageHistory, layers []*storage.Layer) {
	made := 0
	for _, h := range history {
		if !h.Empty {
			made++
		}
	}
	if made != len(layers) {
		return
	}
	for i := range history {
		if !history[i].Empty {
			made--
			history[i].Size = max(layers[made].UncompressedSize, 0)
		}
	}
}

// rawConfig reads the config blob and checks that it is the one that gave the image its ID.
func (s reader) rawConfig(img *storage.Image) ([]byte, error) {
	key := "sha256:" + img.ID
	raw, err := s.store.ImageBigData(img.ID, key)
	if err != nil { // an image whose ID is not the digest of its config: the manifest knows
		if key, err = s.configKey(img); err == nil {
			raw, err = s.store.ImageBigData(img.ID, key)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("its config cannot be read: %w", err)
	}
	if d := digest.Digest(key); !validDigest(d) || d.Algorithm().FromBytes(raw) != d {
		return nil, errors.New("its config does not have the digest it should have")
	}
	return raw, nil
}

func (s reader) configKey(img *storage.Image) (string, error) {
	blob, err := s.store.ImageBigData(img.ID, storage.ImageDigestBigDataKey)
	if err != nil {
		return "", err
	}
	m, err := manifest.FromBlob(blob, manifest.GuessMIMEType(blob))
	if err != nil {
		return "", err
	}
	return m.ConfigInfo().Digest.String(), nil
}

// layers lists the unpacked layers of img, top first, as folders, and checks that they are the ones its config names.
func (s reader) layers(snap *snapshot, img *storage.Image, ref string, diffIDs []digest.Digest) ([]string, error) {
	chain := snap.chain(img)
	if img.TopLayer != "" && (len(chain) == 0 || chain[len(chain)-1].Parent != "") {
		missing := img.TopLayer
		if len(chain) > 0 {
			missing = chain[len(chain)-1].Parent
		}
		return nil, damaged(ref, "layer "+short(missing)+" is missing")
	}
	if len(chain) != len(diffIDs) {
		return nil, damaged(ref, fmt.Sprintf("it has %d layers, and its config names %d", len(chain), len(diffIDs)))
	}
	folders := []string{}
	for i, l := range chain {
		want := diffIDs[len(diffIDs)-1-i]
		if l.UncompressedDigest != "" && l.UncompressedDigest != want {
			return nil, damaged(ref, fmt.Sprintf("layer %s is not the one that its config names, %s", short(l.ID), want))
		}
		dir, err := s.folder(l)
		if err != nil {
			return nil, damaged(ref, fmt.Sprintf("layer %s: %v", short(l.ID), err))
		}
		folders = append(folders, dir)
	}
	return folders, nil
}

// folder is where the files of one layer are.
func (s reader) folder(l *storage.Layer) (string, error) {
	if incomplete, _ := l.Flags["incomplete"].(bool); incomplete {
		return "", errors.New("it was never unpacked completely")
	}
	if len(l.UIDMap) > 0 || len(l.GIDMap) > 0 {
		return "", errors.New("its owners are shifted by a uid map, which podc does not undo")
	}
	driver, err := s.store.GraphDriver()
	if err != nil {
		return "", err
	}
	meta, err := driver.Metadata(l.ID)
	if err != nil {
		return "", err
	}
	dir := meta["UpperDir"]
	if disk.Exists(filepath.Join(filepath.Dir(dir), "composefs-data")) {
		return "", errors.New("it is a composefs image, which podc does not mount yet")
	}
	fi, err := os.Lstat(dir)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s is no folder", dir)
	}
	return dir, err
}

func damaged(ref, what string) error {
	return fault.New(errdefs.ErrDataLoss, "image %q is damaged: %s (remove it with `podc image rm --force %s` and load or pull it again)",
		ref, what, ref)
}

// runnable refuses a store whose layers podc could not mount by itself.
func (s reader) runnable() error {
	if d := s.store.GraphDriverName(); d != "overlay" {
		return fault.New(errdefs.ErrFailedPrecondition, "the image store %s uses the driver %q, and podc runs images from overlay only: set driver = \"overlay\" in storage.conf, or use --root",
			s.store.GraphRoot(), d)
	}
	for _, o := range s.store.GraphOptions() {
		if strings.Contains(o, "force_mask=") {
			return fault.New(errdefs.ErrFailedPrecondition, "the image store %s hides file owners (%s in storage.conf), so its images cannot be run", s.store.GraphRoot(), o)
		}
	}
	return nil
}

// inputs stamps every file that decides what Resolve answers. They are taken before the store is read, so that a change
// in between makes the stamp stale, not the answer.
func (s reader) inputs() ([]disk.Stamp, error) {
	var stamps []disk.Stamp
	for _, path := range s.inputPaths() {
		st, err := disk.StampOf(path)
		if err != nil {
			return nil, fmt.Errorf("cannot look at the image store: %w", err)
		}
		stamps = append(stamps, st)
	}
	return stamps, nil
}

func (s reader) inputPaths() []string {
	roots := []string{s.store.GraphRoot()}
	if is := s.store.ImageStore(); is != "" {
		roots = append(roots, is)
	}
	if d, err := s.store.GraphDriver(); err == nil {
		roots = append(roots, d.AdditionalImageStores()...)
	}
	var paths []string
	for _, root := range roots {
		paths = append(paths, indexes(root)...)
	}
	// storage.conf says which store is meant; its places are those of containers-storage.conf(5).
	paths = append(paths, "/usr/share/containers/storage.conf", "/etc/containers/storage.conf",
		"/etc/containers/storage.conf.d", "/usr/share/containers/storage.conf.d")
	if own := os.Getenv("CONTAINERS_STORAGE_CONF"); own != "" {
		paths = append(paths, own)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// List describes all images, by their first name, nameless ones last.
func (s reader) List() ([]api.ImageSummary, error) {
	snap, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	sums := []api.ImageSummary{}
	for i := range snap.images {
		sums = append(sums, snap.summary(&snap.images[i]))
	}
	slices.SortFunc(sums, func(a, b api.ImageSummary) int {
		if named := len(b.Names) - len(a.Names); len(a.Names) == 0 || len(b.Names) == 0 {
			if named != 0 {
				return named
			}
			return strings.Compare(a.ID, b.ID)
		}
		return strings.Compare(a.Names[0], b.Names[0])
	})
	return sums, nil
}

// Inspect tells everything about the images, in the order asked for; each must exist and be whole.
func (s reader) Inspect(refs []string) ([]api.ImageDetails, error) {
	snap, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	all := []api.ImageDetails{}
	var errs []error
	for _, ref := range refs {
		img, err := snap.must(ref)
		if err == nil {
			var d *api.ImageDetails
			if d, err = s.image(snap, img, ref); err == nil {
				all = append(all, *d)
				continue
			}
		}
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}
