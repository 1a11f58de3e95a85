package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/types"

	"podc.example/podc/engine"
	"podc.example/podc/internal/fault"
)

// Load stores every image of an archive, in its order, with all its names. The archive may be a docker-archive or an
// oci-archive, compressed or not, which its content tells; name is for messages. What is no regular file is read into a
// temporary file first. When it fails, the images before the bad one are stored and returned.
func (s *Store) Load(ctx context.Context, r io.Reader, name string, progress Progress) (loaded []engine.ImageSummary, err error) {
	defer func() {
		if err != nil {
			progress.say(engine.ImageEvent{ID: name, Status: "Error", Text: "Failed", Details: err.Error()})
			err = fmt.Errorf("cannot load %s: %w", name, err)
		}
	}()
	release, err := s.transferring(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	progress.say(engine.ImageEvent{ID: name, Status: "Working", Text: "Reading"})
	archive, err := s.open(ctx, r, name, progress)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, archive.close()) }()
	if len(archive.images) == 0 {
		return nil, fault.New(errdefs.ErrInvalidArgument, "the archive holds no image")
	}
	for _, c := range archive.images {
		sum, err := s.loadOne(ctx, c, name, progress)
		if err != nil {
			return loaded, err
		}
		loaded = append(loaded, sum)
	}
	progress.say(engine.ImageEvent{ID: name, Status: "Done", Text: "Loaded", Details: describe(loaded), Percent: 100})
	return loaded, nil
}

func (s *Store) loadOne(ctx context.Context, c candidate, parent string, progress Progress) (engine.ImageSummary, error) {
	if err := s.checkLayers(ctx, c.src); err != nil {
		return engine.ImageSummary{}, err
	}
	id, err := s.bring(ctx, transfer{src: c.src, srcSys: s.sys, names: c.names, id: parent}, progress)
	if err != nil {
		return engine.ImageSummary{}, err
	}
	sum, err := s.summaryOf(id)
	if err != nil {
		return sum, err
	}
	s.warn(id, label(sum), progress)
	return sum, nil
}

// maxLayers is docker's limit too. Each layer costs the store a pass over its indexes, and a mount has room for few hundred.
const maxLayers = 127

// checkLayers refuses an image of more layers than any tool makes, before the first is stored.
func (s *Store) checkLayers(ctx context.Context, ref types.ImageReference) error {
	src, err := ref.NewImageSource(ctx, s.sys)
	if err != nil {
		return err
	}
	defer src.Close()
	blob, kind, err := src.GetManifest(ctx, nil)
	if err != nil || manifest.MIMETypeIsMultiImage(kind) {
		return err
	}
	m, err := manifest.FromBlob(blob, kind)
	if err != nil {
		return err
	}
	if n := len(m.LayerInfos()); n > maxLayers {
		return fault.New(errdefs.ErrInvalidArgument, "the image has %d layers, and %d are the most", n, maxLayers)
	}
	return nil
}

// warn tells at once of an image that is stored but will not run, and why.
func (s *Store) warn(id, name string, progress Progress) {
	snap, err := s.snapshot()
	if err != nil {
		return
	}
	img := snap.byID(id)
	if img == nil {
		return
	}
	d, err := s.image(snap, img, name)
	if err != nil {
		progress.say(engine.ImageEvent{ID: name, Status: "Warning", Text: "Not runnable", Details: err.Error()})
	} else if why := wrongPlatform(d.Config); why != "" {
		progress.say(engine.ImageEvent{ID: name, Status: "Warning", Text: "Not runnable", Details: "image " + why})
	}
}

func label(sum engine.ImageSummary) string {
	if len(sum.Names) > 0 {
		return sum.Names[0]
	}
	return short(sum.ID)
}

func describe(sums []engine.ImageSummary) string {
	var names []string
	for _, sum := range sums {
		if len(sum.Names) == 0 {
			names = append(names, short(sum.ID))
		}
		names = append(names, sum.Names...)
	}
	return strings.Join(names, ", ")
}
