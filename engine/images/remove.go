package images

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podcimage"
)

// Remove takes a name away from an image, and deletes the image when that was the last one or when ref is its ID. An image
// with several names goes by ID only with force. One that a group pins, or that a container of another program uses, is
// never deleted: errdefs.IsFailedPrecondition, with their names.
func (s *Store) Remove(ref string, force bool) (*podcimage.RemoveReply, error) {
	snap, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	img, err := snap.must(ref)
	if err != nil {
		return nil, err
	}
	name := snap.nameOf(img, ref)
	if name != "" && len(img.Names) > 1 {
		return &podcimage.RemoveReply{Untagged: []string{name}}, s.store.RemoveNames(img.ID, []string{name})
	}
	if err := snap.removable(img, ref, force || name != ""); err != nil {
		return nil, err
	}
	if _, err := s.store.DeleteImage(img.ID, true); err != nil {
		return nil, removeError(ref, err)
	}
	return &podcimage.RemoveReply{Untagged: img.Names, Deleted: []string{img.ID}}, nil
}

func (snap *snapshot) removable(img *storage.Image, ref string, manyNames bool) error {
	if groups := snap.users(img.ID); len(groups) > 0 {
		return fault.New(errdefs.ErrFailedPrecondition, "cannot remove image %q: in use by %s (take it down first: `podc -p NAME down`)",
			ref, strings.Join(groups, ", "))
	}
	for i := range snap.containers {
		if c := &snap.containers[i]; c.ImageID == img.ID {
			return fault.New(errdefs.ErrFailedPrecondition, "cannot remove image %q: in use by container %q, which is not podc's", ref, label(c.Names, c.ID))
		}
	}
	if img.ReadOnly {
		return fault.New(errdefs.ErrFailedPrecondition, "cannot remove image %q: it is in a read-only store", ref)
	}
	if len(img.Names) > 1 && !manyNames {
		return fault.New(errdefs.ErrFailedPrecondition, "cannot remove image %q: it has several names, %s (remove them one by one, or use --force)",
			ref, strings.Join(img.Names, ", "))
	}
	return nil
}

func removeError(ref string, err error) error {
	class := error(errdefs.ErrUnknown)
	switch {
	case errors.Is(err, storage.ErrImageUsedByContainer): // pinned since we looked
		class = errdefs.ErrFailedPrecondition
	case errors.Is(err, storage.ErrNotAnImage), errors.Is(err, storage.ErrImageUnknown):
		class = errdefs.ErrNotFound
	}
	return fault.New(class, "cannot remove image %q: %w", ref, err)
}

// Tag gives the image ref one more name, taken from whichever image has it.
func (s *Store) Tag(ref, name string) (api.ImageSummary, error) {
	snap, err := s.snapshot()
	if err != nil {
		return api.ImageSummary{}, err
	}
	img, err := snap.must(ref)
	if err != nil {
		return api.ImageSummary{}, err
	}
	named, err := tagName(name)
	if err != nil {
		return api.ImageSummary{}, err
	}
	if err := s.store.AddNames(img.ID, []string{named}); err != nil {
		return api.ImageSummary{}, fmt.Errorf("cannot tag image %q: %w", ref, err)
	}
	return s.summaryOf(img.ID)
}

func tagName(name string) (string, error) {
	named, err := Normalize(name)
	if err == nil && strings.Contains(named.String(), "@") {
		err = fault.New(errdefs.ErrInvalidArgument, "%q: a digest is no name to give", name)
	}
	if err != nil {
		return "", err
	}
	return named.String(), nil
}

// A removal writes the store's indexes anew, and on a full disk there is no room for that. So a file beside them keeps some: it goes
// when a removal, or a look, has failed for want of room, and comes back with the next that finds room for it.

// leastReserve is the least that is kept, in bytes; more where the largest index is large.
const leastReserve = 256 << 10

func reservePath(graphRoot string) string { return filepath.Join(graphRoot, "podc-reserve") }

// keepReserve makes the reserve where it is missing or too small, if there is room for it.
func keepReserve(graphRoot string) {
	want := int64(leastReserve)
	if fi, err := os.Stat(filepath.Join(graphRoot, "overlay-layers", "layers.json")); err == nil {
		want = max(want, 2*fi.Size())
	}
	path := reservePath(graphRoot)
	if fi, err := os.Stat(path); err == nil && fi.Size() >= want {
		return
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Fallocate(int(f.Fd()), 0, 0, want+want/4) != nil {
		os.Remove(path) // others need the room more
	}
}

// WithReserve calls remove, which opens the store of c, and once more with the room of the reserve if the disk is full. For what
// removes things or looks: remove must be idempotent. Close makes the reserve anew.
func WithReserve(c Config, remove func() error) error {
	err := remove()
	if !disk.IsFull(err) {
		return err
	}
	opts, cerr := storeOptions(c)
	if cerr != nil || os.Remove(reservePath(opts.GraphRoot)) != nil {
		return err
	}
	return remove()
}
