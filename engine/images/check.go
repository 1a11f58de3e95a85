package images

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.podman.io/storage"

	"podc.example/podc/api"
	"podc.example/podc/internal/podcimage"
)

// Check lists what is wrong with the store: by its own account (missing layers and data), and images that Resolve would
// call damaged. With deep it also mounts every layer and computes its digest again, which reads everything. With repair it
// removes damaged layers and images, never containers, and the reply lists what is still wrong.
func (s *Store) Check(deep, repair bool) (*podcimage.CheckReply, error) {
	report, problems, err := s.examine(deep)
	if err != nil {
		return nil, err
	}
	if !repair || len(problems) == 0 {
		return &podcimage.CheckReply{Problems: problems}, nil
	}
	errs := s.store.Repair(report, &storage.RepairOptions{})
	if err := s.scratch.clear(); err != nil {
		errs = append(errs, err)
	}
	_, left, err := s.examine(deep)
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	reply := &podcimage.CheckReply{Problems: left}
	for _, p := range problems {
		if !slices.Contains(left, p) {
			reply.Repaired = append(reply.Repaired, fmt.Sprintf("%s %s: %s", p.Kind, p.Object, p.Detail))
		}
	}
	for _, err := range errs {
		reply.Problems = append(reply.Problems, api.Problem{Kind: "repair", Object: s.store.GraphRoot(), Detail: err.Error()})
	}
	return reply, nil
}

func (s *Store) examine(deep bool) (storage.CheckReport, []api.Problem, error) {
	options := &storage.CheckOptions{LayerData: true, ImageData: true, ContainerData: true}
	if deep {
		options = storage.CheckMost()
	}
	report, err := s.store.Check(options)
	if err != nil {
		return report, nil, fmt.Errorf("cannot check the image store %s: %w", s.store.GraphRoot(), err)
	}
	var problems []api.Problem
	for kind, found := range map[string]map[string][]error{
		"layer": report.Layers, "image": report.Images, "storage container": report.Containers,
		"read-only layer": report.ROLayers, "read-only image": report.ROImages,
	} {
		for _, id := range slices.Sorted(maps.Keys(found)) {
			problems = append(problems, api.Problem{Kind: kind, Object: short(id), Detail: joined(found[id])})
		}
	}
	slices.SortStableFunc(problems, func(a, b api.Problem) int { return strings.Compare(a.Kind, b.Kind) })
	more, err := s.unresolvable(report)
	return report, slices.Concat(problems, more, s.scratch.left()), err
}

// unresolvable finds the images that the store thinks whole and podc could not run.
func (s reader) unresolvable(report storage.CheckReport) ([]api.Problem, error) {
	snap, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	var problems []api.Problem
	for i := range snap.images {
		img := &snap.images[i]
		if _, known := report.Images[img.ID]; known {
			continue
		}
		if _, err := s.image(snap, img, label(snap.summary(img))); err != nil {
			problems = append(problems, api.Problem{Kind: "image", Object: short(img.ID), Detail: err.Error()})
		}
	}
	return problems, nil
}

func joined(errs []error) string {
	var s []string
	for _, err := range errs {
		s = append(s, err.Error())
	}
	return strings.Join(s, "; ")
}
