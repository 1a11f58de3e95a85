package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// Load stores every image of an archive, in its order, with all its names. The archive may be a docker-archive or an
// oci-archive, compressed or not, which its content tells; name is for messages. What is no regular file is read into a
// temporary file first. When it fails, the images before the bad one are stored and returned.
func (s *Store) Load(ctx context.Context, r io.Reader, name string, progress Progress) (loaded []api.ImageSummary, err error) {
	defer func() {
		if err != nil {
			progress.say(api.Progress{ID: name, Status: "Error", Text: "Failed", Details: err.Error()})
			err = fmt.Errorf("cannot load %s: %w", name, err)
		}
	}()
	release, err := s.scratch.transferring(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	progress.say(api.Progress{ID: name, Status: "Working", Text: "Reading"})
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
	progress.say(api.Progress{ID: name, Status: "Done", Text: "Loaded", Details: describe(loaded), Percent: 100})
	return loaded, nil
}

func (s *copier) loadOne(ctx context.Context, c candidate, parent string, progress Progress) (api.ImageSummary, error) {
	id, err := s.bring(ctx, transfer{src: c.src, srcSys: s.sys, names: c.names, id: parent}, progress)
	if err != nil {
		return api.ImageSummary{}, err
	}
	sum, err := s.summaryOf(id)
	if err != nil {
		return sum, err
	}
	s.warn(id, label(sum), progress)
	return sum, nil
}

// warn tells at once of an image that is stored but will not run, and why.
func (s reader) warn(id, name string, progress Progress) {
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
		progress.say(api.Progress{ID: name, Status: "Warning", Text: "Not runnable", Details: err.Error()})
	} else if why := wrongPlatform(d.Config); why != "" {
		progress.say(api.Progress{ID: name, Status: "Warning", Text: "Not runnable", Details: "image " + why})
	}
}

func label(sum api.ImageSummary) string {
	if len(sum.Names) > 0 {
		return sum.Names[0]
	}
	return short(sum.ID)
}

func describe(sums []api.ImageSummary) string {
	var names []string
	for _, sum := range sums {
		if len(sum.Names) == 0 {
			names = append(names, short(sum.ID))
		}
		names = append(names, sum.Names...)
	}
	return strings.Join(names, ", ")
}
