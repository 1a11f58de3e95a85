package builder

import (
	"context"
	"encoding/json"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	ctdimages "github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"podc.example/podc/engine/images"
	"podc.example/podc/internal/fault"
)

// nameless is the repository of results without a name; a digest follows it.
const nameless = "podc.invalid/nameless"

// results is where BuildKit registers the images that it has made: podc's store takes them over. It has none for BuildKit to find.
type results struct {
	content content.Store
	open    func() (*images.Store, error)
}

// Get is images.Store's.
func (r *results) Get(context.Context, string) (ctdimages.Image, error) {
	return ctdimages.Image{}, errdefs.ErrNotFound
}

// List is images.Store's.
func (r *results) List(context.Context, ...string) ([]ctdimages.Image, error) { return nil, nil }

// Delete is images.Store's.
func (r *results) Delete(context.Context, string, ...ctdimages.DeleteOpt) error { return nil }

// Update is images.Store's: it makes the image, or gives one that is there another name.
func (r *results) Update(ctx context.Context, img ctdimages.Image, _ ...string) (ctdimages.Image, error) {
	return r.Create(ctx, img)
}

// Create is images.Store's.
func (r *results) Create(ctx context.Context, img ctdimages.Image) (ctdimages.Image, error) {
	manifest, err := ctdimages.Manifest(ctx, r.content, img.Target, platforms.Default())
	if err != nil {
		return img, err
	}
	built := images.Built{}
	if built.Manifest, err = r.manifest(ctx, img.Target); err != nil {
		return img, err
	}
	if built.Config, err = content.ReadBlob(ctx, r.content, manifest.Config); err != nil {
		return img, err
	}
	var config ocispecs.Image
	if err := json.Unmarshal(built.Config, &config); err != nil {
		return img, err
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		return img, fault.New(errdefs.ErrDataLoss, "the result has %d layers, and its config names %d", len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	for i, l := range manifest.Layers {
		built.Layers = append(built.Layers, images.BuiltLayer{DiffID: config.RootFS.DiffIDs[i], Open: func(ctx context.Context) (io.ReadCloser, error) {
			at, err := r.content.ReaderAt(ctx, l)
			if err != nil {
				return nil, err
			}
			return struct {
				io.Reader
				io.Closer
			}{content.NewReader(at), at}, nil
		}})
	}
	if !isNameless(img.Name) {
		built.Names = []string{img.Name}
	}
	s, err := r.open()
	if err != nil {
		return img, err
	}
	_, err = s.PutBuilt(ctx, built)
	return img, err
}

// manifest is the one of this platform, as it is.
func (r *results) manifest(ctx context.Context, d ocispecs.Descriptor) ([]byte, error) {
	raw, err := content.ReadBlob(ctx, r.content, d)
	if err != nil || !ctdimages.IsIndexType(d.MediaType) {
		return raw, err
	}
	var index ocispecs.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, err
	}
	for _, m := range index.Manifests {
		if m.Platform != nil && platforms.Default().Match(*m.Platform) {
			return content.ReadBlob(ctx, r.content, m)
		}
	}
	return nil, fault.New(errdefs.ErrNotFound, "the result has nothing for this host's platform")
}

func isNameless(name string) bool {
	return len(name) > len(nameless) && name[:len(nameless)+1] == nameless+"@"
}
