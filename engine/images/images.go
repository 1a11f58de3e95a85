// Package images keeps images and their layers in containers/storage, and moves them there with containers/image, so that
// podman, buildah and skopeo see the same images as podc. It gives the engine images that are already resolved: a checked
// config, the folders of the layers, and a pin.
//
// # Pins
//
// podc mounts an image's layers itself, without a storage record for each container. Others must nevertheless not delete
// the layers under a running pod, so every image that a group uses is pinned by two records in the store:
//
//   - a container `podc-<root>-<group>-<image>` of the image, one for each image and group. It is what others respect:
//     `podman rmi` refuses, `podman image prune -a` and `podman system prune -a` pass by.
//   - a container `podc-layers-<layer>` that belongs to no image, one for each top layer, and whose second name is the ID of
//     that layer. `podman rmi -f` (also with -a) and `podman image prune -a --external` remove the first record and then the
//     image; but containers/storage stops deleting layers at one that a container is known by, and that holds for names too
//     (Store.DeleteImage). So the image's record goes, the layers stay, and the pods run on.
//
// Neither record is ever transient or volatile: an older podman does not see those. What remains able to delete the layers
// is `podman rm -f podc-layers-...` and `podman system reset`, which ask for it. This was tried with podman 4.3.1, and
// TestPodman tries it again wherever podman is installed.
package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// Config says where images are kept.
type Config struct {
	Root    string // podc's data root
	RunRoot string // podc's run root
	// Private keeps images under Root and RunRoot. Otherwise they are where storage.conf says, shared with podman.
	Private bool
}

// Progress is told what happens during a transfer; it may be nil. It is called from one goroutine at a time.
type Progress func(api.Progress)

func (p Progress) say(e api.Progress) {
	if p != nil {
		p(e)
	}
}

// Store is an open image store. Many goroutines, and many processes, may use one at the same time.
//
// It is made of parts, each on top of the one before: what is there is read, images are copied in, and the Store itself names, pins,
// commits, removes and repairs them.
type Store struct {
	copier
	rootID string // tells the pins of one podc root from those of another in a shared store
}

// copier copies images into the store from archives and registries.
type copier struct {
	reader
	sys     *types.SystemContext
	scratch scratch
}

// reader tells what is in the store.
type reader struct{ store storage.Store }

// Open opens the store, and makes it where missing. reexec.Init must have been called first thing in main.
func Open(c Config) (*Store, error) {
	opts, err := storeOptions(c)
	if err != nil {
		return nil, err
	}
	if err := checkIndexes(opts.GraphRoot); err != nil {
		return nil, fault.New(errdefs.ErrDataLoss, "cannot open the image store %s: %w", opts.GraphRoot, err)
	}
	clearProbes(opts.GraphRoot)
	st, err := getStore(opts)
	if err != nil {
		return nil, openError(opts, err)
	}
	id := engine.RootIDOf(c.Root)
	tmp := scratch{temporary(c), "podc-load-" + id + "-", filepath.Join(c.RunRoot, "images.lock"), c.Private}
	s := &Store{copier{reader{checkedStore{st}}, systemContext(c, tmp.dir), tmp}, id}
	if c.Private {
		err = os.MkdirAll(tmp.dir, 0o700)
	}
	return s, err
}

// strayPatience is how long a process that lost its parent may go on writing.
const strayPatience = 5 * time.Second

// getStore opens the store. That clears away what killed transfers left, which fails while a child of one, which unpacks a
// layer and tells nobody when it has noticed the death of its parent, still writes there.
func getStore(opts storage.StoreOptions) (storage.Store, error) {
	for end := time.Now().Add(strayPatience); ; <-time.After(50 * time.Millisecond) {
		st, err := storage.GetStore(opts)
		if !errors.Is(err, unix.ENOTEMPTY) || time.Now().After(end) {
			return st, err
		}
	}
}

// noHomeMount keeps containers/storage from mounting its folder over itself as long as a process has it open. Whoever makes a
// root filesystem meanwhile would find the layers in that mount, and the mount gone a moment later.
const noHomeMount = "overlay.skip_mount_home=true"

func storeOptions(c Config) (storage.StoreOptions, error) {
	if c.Private {
		return storage.StoreOptions{
			GraphRoot: filepath.Join(c.Root, "storage"), RunRoot: filepath.Join(c.RunRoot, "storage"),
			GraphDriverName: "overlay", GraphDriverOptions: []string{noHomeMount},
		}, nil
	}
	opts, err := storage.DefaultStoreOptions()
	if err != nil {
		err = fmt.Errorf("cannot read the configuration of the image store: %w", err)
	}
	// Pins have to outlive a reboot and to be seen by others, so podc's records are never transient.
	opts.TransientStore = false
	opts.GraphDriverOptions = append(opts.GraphDriverOptions, noHomeMount)
	return opts, err
}

// GraphRoot is the folder of the store, which need not exist.
func GraphRoot(c Config) (string, error) {
	opts, err := storeOptions(c)
	return opts.GraphRoot, err
}

func openError(opts storage.StoreOptions, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fault.New(errdefs.ErrPermissionDenied, "cannot open the image store %s: %w", opts.GraphRoot, err)
	}
	return fault.New(errdefs.ErrFailedPrecondition, "cannot open the image store %s: %w", opts.GraphRoot, err)
}

// systemContext keeps what containers/image writes under a private root too. Its configuration (registries.conf,
// policy.json, auth.json, certs.d) is the host's in either case, but for a policy.json in a private root.
func systemContext(c Config, tmp string) *types.SystemContext {
	sys := &types.SystemContext{BigFilesTemporaryDir: tmp, DockerRegistryUserAgent: "podc"}
	if !c.Private {
		return sys
	}
	sys.BlobInfoCacheDir = filepath.Join(c.Root, "storage", "blob-info-cache")
	sys.UserShortNameAliasConfPath = filepath.Join(c.Root, "storage", "short-name-aliases.conf")
	if own := filepath.Join(c.Root, "policy.json"); disk.Exists(own) {
		sys.SignaturePolicyPath = own
	}
	return sys
}

// temporary is the folder for unpacked archives: never /tmp, which may be in memory.
func temporary(c Config) string {
	if c.Private {
		return filepath.Join(c.Root, "storage", "tmp")
	}
	return cmp.Or(os.Getenv("TMPDIR"), "/var/tmp")
}

// Close lets go of the store and takes away the mount that containers/storage makes of its own folder, unless a container
// of another program is mounted below it.
func (s *Store) Close() error {
	defer s.store.Free()
	defer keepReserve(s.store.GraphRoot()) // not when it is opened: it may have gone to make room for what is done meanwhile
	if _, err := s.store.Shutdown(false); err != nil && !errors.Is(err, storage.ErrLayerUsedByContainer) {
		return fmt.Errorf("cannot close the image store %s: %w", s.store.GraphRoot(), err)
	}
	return nil
}

// snapshot is the content of the store at one instant, read under one lock.
type snapshot struct {
	images     []storage.Image
	layers     map[string]*storage.Layer
	containers []storage.Container
}

func (s reader) snapshot() (*snapshot, error) {
	all, err := s.store.MultiList(storage.MultiListOptions{Images: true, Layers: true, Containers: true})
	if err != nil {
		return nil, fmt.Errorf("cannot list the image store %s: %w", s.store.GraphRoot(), err)
	}
	snap := &snapshot{images: all.Images, containers: all.Containers, layers: make(map[string]*storage.Layer, len(all.Layers))}
	for i := range all.Layers {
		snap.layers[all.Layers[i].ID] = &all.Layers[i]
	}
	return snap, nil
}

// size is what the image's layers and data take, unpacked, in bytes, as far as the store noted it.
func (snap *snapshot) size(img *storage.Image) int64 {
	var n int64
	for _, size := range img.BigDataSizes {
		n += max(size, 0)
	}
	for _, l := range snap.chain(img) {
		n += max(l.UncompressedSize, 0)
	}
	return n
}

// chain lists the image's layers, top first, up to the first one that is not there.
func (snap *snapshot) chain(img *storage.Image) []*storage.Layer {
	var chain []*storage.Layer
	for id := img.TopLayer; id != ""; {
		l, ok := snap.layers[id]
		if !ok || len(chain) > len(snap.layers) {
			break
		}
		chain = append(chain, l)
		id = l.Parent
	}
	return chain
}

func (snap *snapshot) summary(img *storage.Image) api.ImageSummary {
	return api.ImageSummary{
		ID:      img.ID,
		Digest:  img.Digest.String(),
		Names:   append([]string{}, img.Names...),
		Size:    snap.size(img),
		Created: img.Created.UTC().Truncate(time.Second),
		UsedBy:  snap.users(img.ID),
	}
}

// summaryOf reads the store again and describes the image id.
func (s reader) summaryOf(id string) (api.ImageSummary, error) {
	snap, err := s.snapshot()
	if err != nil {
		return api.ImageSummary{}, err
	}
	img := snap.byID(id)
	if img == nil {
		return api.ImageSummary{}, fault.New(errdefs.ErrNotFound, "image %s went away", short(id))
	}
	return snap.summary(img), nil
}

// short is how an ID is shown to people.
func short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

// ended gives the reason why ctx ended, or nil.
func ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
