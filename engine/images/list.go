package images

import (
	"errors"
	"slices"
	"strings"

	"podc.example/podc/api"
)

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
