package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/archive"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// What a build takes from the store, and what it brings back, are layers as tar streams that are not compressed: the digest of such a
// stream is the layer's DiffID.

// Base is an image of the store that a build starts from.
type Base struct {
	ID     string
	Digest string // of its manifest, as it came
	Config []byte
	Layers []BaseLayer // bottom first
}

// BaseLayer is one of its layers.
type BaseLayer struct {
	DiffID digest.Digest
	Size   int64 // bytes of the stream

	id string
}

// Base returns the image that ref means here; errdefs.IsNotFound if there is none, or only one for another platform.
func (s *Store) Base(ref string) (*Base, error) {
	snap, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	img, err := snap.must(ref)
	if err != nil {
		return nil, err
	}
	details, err := s.image(snap, img, ref)
	if err != nil {
		return nil, err
	}
	if why := wrongPlatform(details.Config); why != "" {
		return nil, fault.New(errdefs.ErrNotFound, "image %q %s", ref, why)
	}
	b := &Base{ID: img.ID, Digest: img.Digest.String()}
	if b.Config, err = s.rawConfig(img); err != nil {
		return nil, err
	}
	for i, l := range slices.Backward(snap.chain(img)) {
		b.Layers = append(b.Layers, BaseLayer{DiffID: digest.Digest(details.DiffIDs[len(details.DiffIDs)-1-i]), Size: l.UncompressedSize, id: l.ID})
	}
	return b, nil
}

// OpenLayer reads a layer of a base, byte by byte as it was when it came. The caller closes it.
func (s *Store) OpenLayer(l BaseLayer) (io.ReadCloser, error) {
	plain := archive.Uncompressed
	r, err := s.store.Diff("", l.id, &storage.DiffOptions{Compression: &plain})
	if err != nil {
		return nil, fmt.Errorf("cannot read layer %s: %w", short(l.id), err)
	}
	return r, nil
}

// Built is an image that a build has made.
type Built struct {
	Config, Manifest []byte
	Layers           []BuiltLayer // bottom first
	Names            []string     // they move away from the images that had them before
}

// BuiltLayer is one of its layers. Open is called only if the store does not have it on top of those below.
type BuiltLayer struct {
	DiffID digest.Digest
	Open   func(ctx context.Context) (io.ReadCloser, error)
}

// PutBuilt makes an image of what a build has made. Layers that are here, on top of the same layers, are not read. When it fails,
// nothing is left of it but layers that the next attempt finds, or podc system check.
func (s *Store) PutBuilt(ctx context.Context, b Built) (sum api.ImageSummary, err error) {
	if _, err := parseConfig(b.Config); err != nil { // what podc would not run, it does not make
		return sum, fault.New(errdefs.ErrInvalidArgument, "the result cannot be run: %w", err)
	}
	if err := checkLayers(len(b.Layers)); err != nil {
		return sum, err
	}
	var names []string
	for _, n := range b.Names {
		named, err := Normalize(n)
		if err != nil {
			return sum, err
		}
		names = append(names, named.String())
	}
	release, err := s.scratch.transferring(ctx)
	if err != nil {
		return sum, err
	}
	defer release()
	var made []string
	defer func() {
		if err == nil {
			return
		}
		for _, id := range slices.Backward(made) {
			err = errors.Join(err, s.store.DeleteLayer(id))
		}
	}()
	top := ""
	for _, l := range b.Layers {
		id, isNew, err := s.putLayer(ctx, l, top)
		if err != nil {
			return sum, fmt.Errorf("cannot store layer %s: %w", short(l.DiffID.String()), err)
		}
		if top = id; isNew {
			made = append(made, id)
		}
	}
	id, err := s.putImage(b, top)
	if err != nil {
		return sum, err
	}
	made = nil
	if len(names) > 0 {
		if err := s.store.AddNames(id, names); err != nil {
			return sum, err
		}
	}
	return s.summaryOf(id)
}

// putLayer stores a layer on top of another, under the ID that containers/image would give it, so that others find it too.
func (s *Store) putLayer(ctx context.Context, l BuiltLayer, parent string) (id string, isNew bool, err error) {
	id = l.DiffID.Encoded()
	if parent != "" {
		id = digest.Canonical.FromString(parent + "+" + id).Encoded()
	}
	if _, err := s.store.Layer(id); err == nil {
		return id, false, nil
	}
	if same, err := s.store.LayersByUncompressedDigest(l.DiffID); err == nil {
		for _, have := range same {
			if have.Parent == parent {
				return have.ID, false, nil
			}
		}
	}
	r, err := l.Open(ctx)
	if err != nil {
		return "", false, err
	}
	defer r.Close()
	_, _, err = s.store.PutLayer(id, parent, nil, "", false, nil, &counted{r: r, ctx: ctx})
	if errors.Is(err, storage.ErrDuplicateID) { // another build was quicker
		return id, false, nil
	}
	return id, err == nil, err
}

// putImage records the image of layers that are stored. One with the same config is the same image.
func (s *Store) putImage(b Built, top string) (string, error) {
	config, manifest := digest.FromBytes(b.Config), digest.FromBytes(b.Manifest)
	id := config.Encoded()
	if _, err := s.store.Image(id); err == nil {
		return id, nil
	}
	var made struct{ Created time.Time }
	if err := json.Unmarshal(b.Config, &made); err != nil {
		return "", err
	}
	_, err := s.store.CreateImage(id, nil, top, "", &storage.ImageOptions{
		CreationDate: made.Created.UTC(), Digest: manifest,
		BigData: []storage.ImageBigDataOption{
			{Key: storage.ImageDigestBigDataKey, Data: b.Manifest, Digest: manifest},
			{Key: storage.ImageDigestManifestBigDataNamePrefix + "-" + manifest.String(), Data: b.Manifest, Digest: manifest},
			{Key: config.String(), Data: b.Config, Digest: config},
		},
	})
	if errors.Is(err, storage.ErrDuplicateID) {
		err = nil
	}
	return id, err
}
