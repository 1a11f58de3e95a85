package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"go.podman.io/storage"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// holder is a group of one podc root that uses an image.
type holder struct {
	Root  string `json:"root"`
	Group string `json:"group"`
	Image string `json:"image"`
}

// record is the metadata of podc's containers in the store. A pin has one holder; the keeper of a layer has one for each
// pin that needs it.
type record struct {
	Podc    string   `json:"podc"` // "pin" or "layers"
	Holders []holder `json:"holders"`
}

const (
	kindPin    = "pin"
	kindKeeper = "layers"
)

// parseRecord tells podc's containers from those of others.
func parseRecord(c *storage.Container) (record, bool) {
	var r record
	ok := json.Unmarshal([]byte(c.Metadata), &r) == nil && (r.Podc == kindPin || r.Podc == kindKeeper)
	return r, ok
}

func (r record) String() string {
	b, _ := json.Marshal(r) // strings only: cannot fail
	return string(b)
}

func pinName(h holder) string { return fmt.Sprintf("podc-%s-%s-%s", h.Root, h.Group, short(h.Image)) }

// holders maps each pinned image to its holders, from pins and keepers alike.
func (snap *snapshot) holders() map[string][]holder {
	all := map[string][]holder{}
	for i := range snap.containers {
		r, _ := parseRecord(&snap.containers[i])
		for _, h := range r.Holders {
			if !slices.Contains(all[h.Image], h) {
				all[h.Image] = append(all[h.Image], h)
			}
		}
	}
	return all
}

// users names the groups that pin the image, sorted.
func (snap *snapshot) users(id string) []string {
	var groups []string
	for _, h := range snap.holders()[id] {
		groups = append(groups, h.Group)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// Pin keeps everybody from deleting the layers of the images, by ID, until Unpin. It is idempotent, and holds a lock that
// excludes other calls of Pin and Unpin on the same store. An image that is gone is NotFound.
func (s *Store) Pin(ctx context.Context, group string, imageIDs []string) error {
	snap, unlock, err := s.lockPins(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, id := range imageIDs {
		if err := ended(ctx); err != nil {
			return err
		}
		if err := s.enter(snap, holder{s.rootID, group, id}); err != nil {
			return fmt.Errorf("cannot pin image %s for %q: %w", short(id), group, err)
		}
	}
	return nil
}

// lockPins keeps others from changing who holds images, and reads the store.
func (s reader) lockPins(ctx context.Context) (snap *snapshot, unlock func(), err error) {
	l, err := disk.LockWait(ctx, filepath.Join(s.store.GraphRoot(), "podc-pins.lock"), disk.Wait{For: "the pins of images", Patience: time.Minute})
	if err != nil {
		return nil, nil, err
	}
	l.Note()
	if snap, err = s.snapshot(); err != nil {
		l.Unlock()
	}
	return snap, l.Unlock, err
}

// enter makes both records, as far as they are missing. The keeper comes first: a pin found whole means that both are there.
func (s reader) enter(snap *snapshot, h holder) error {
	img := snap.byID(h.Image)
	if img == nil {
		return fault.New(errdefs.ErrNotFound, "it is gone")
	}
	if img.TopLayer != "" {
		if err := s.keep(img.TopLayer, h); err != nil {
			return err
		}
	}
	_, err := s.store.CreateContainer("", []string{pinName(h)}, h.Image, "", record{kindPin, []holder{h}}.String(), nil)
	switch {
	case errors.Is(err, storage.ErrDuplicateName):
		return nil
	case errors.Is(err, storage.ErrImageUnknown):
		return fault.New(errdefs.ErrNotFound, "it is gone")
	}
	return err
}

// keep enters h with the keeper of the layer, which it makes where it is missing.
func (s reader) keep(layer string, h holder) error {
	c, err := s.store.Container(layer)
	if errors.Is(err, storage.ErrContainerUnknown) {
		names := []string{"podc-layers-" + short(layer), layer}
		_, err = s.store.CreateContainer("", names, "", "", record{kindKeeper, []holder{h}}.String(), nil)
		return err
	}
	if err != nil {
		return err
	}
	r, ok := parseRecord(c)
	if !ok || slices.Contains(r.Holders, h) {
		return nil // somebody else's container bears the layer's name: it keeps the layer as well
	}
	r.Holders = append(r.Holders, h)
	return s.store.SetMetadata(c.ID, r.String())
}

// unpinned lists which of the images lack one of their two records for the group.
func (snap *snapshot) unpinned(root, group string, images map[string]api.Image) []string {
	held := map[holder]int{}
	for i := range snap.containers {
		r, _ := parseRecord(&snap.containers[i])
		for _, h := range r.Holders {
			held[h]++
		}
	}
	var ids []string
	for _, img := range images {
		want := 2
		if len(img.Layers) == 0 {
			want = 1
		}
		if held[holder{root, group, img.ID}] < want && !slices.Contains(ids, img.ID) {
			ids = append(ids, img.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// Unpin gives up what the group holds, but for the images in keep, and returns the IDs of the images that it held.
// Layers whose image others removed in the meantime go with their last holder. It is idempotent.
func (s *Store) Unpin(ctx context.Context, group string, keep []string) ([]string, error) {
	snap, unlock, err := s.lockPins(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	goes := func(h holder) bool {
		return h.Root == s.rootID && h.Group == group && !slices.Contains(keep, h.Image)
	}
	var gone []string
	var errs []error
	for i := range snap.containers {
		c := &snap.containers[i]
		r, ok := parseRecord(c)
		if !ok || !slices.ContainsFunc(r.Holders, goes) {
			continue
		}
		for _, h := range r.Holders {
			if goes(h) {
				gone = append(gone, h.Image)
			}
		}
		r.Holders = slices.DeleteFunc(r.Holders, goes)
		errs = append(errs, s.release(snap, c, r))
	}
	slices.Sort(gone)
	return slices.Compact(gone), errors.Join(errs...)
}

// release saves what is left of a record: nothing, if nobody holds it any more.
func (s reader) release(snap *snapshot, c *storage.Container, r record) error {
	if len(r.Holders) > 0 {
		return s.store.SetMetadata(c.ID, r.String())
	}
	if err := s.store.DeleteContainer(c.ID); err != nil && !errors.Is(err, storage.ErrContainerUnknown) {
		return fmt.Errorf("cannot remove the pin %s: %w", strings.Join(c.Names[:min(1, len(c.Names))], ""), err)
	}
	if r.Podc != kindKeeper {
		return nil
	}
	for _, name := range c.Names {
		if l, ok := snap.layers[name]; ok {
			return s.dropUnused(snap, l)
		}
	}
	return nil
}

// dropUnused deletes a layer and its parents up to the first that an image, another layer or a container still needs.
func (s reader) dropUnused(snap *snapshot, l *storage.Layer) error {
	for l != nil && !l.ReadOnly {
		err := s.store.DeleteLayer(l.ID)
		switch {
		case errors.Is(err, storage.ErrLayerUsedByImage), errors.Is(err, storage.ErrLayerHasChildren), errors.Is(err, storage.ErrLayerUsedByContainer),
			errors.Is(err, storage.ErrNotALayer), errors.Is(err, storage.ErrLayerUnknown):
			return nil
		case err != nil:
			return fmt.Errorf("cannot remove layer %s: %w", short(l.ID), err)
		}
		l = snap.layers[l.Parent]
	}
	return nil
}
