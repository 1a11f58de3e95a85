package images

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"go.podman.io/storage"

	"podc.example/podc/api"
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
			name := short(c.ID)
			if len(c.Names) > 0 {
				name = c.Names[0]
			}
			return fault.New(errdefs.ErrFailedPrecondition, "cannot remove image %q: in use by container %q, which is not podc's", ref, name)
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
