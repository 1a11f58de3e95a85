package images

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/docker"
	istorage "go.podman.io/image/v5/storage"

	"podc.example/podc/api"
)

// Push sends the image that ref means here to the registry that ref names, with the credentials that a pull would have, and returns
// the digest of its manifest there. Layers that are there already are not sent; the others are compressed on their way.
func (s *Store) Push(ctx context.Context, ref string, progress Progress) (string, error) {
	named, err := Normalize(ref)
	if err != nil {
		return "", err
	}
	snap, err := s.snapshot()
	if err != nil {
		return "", err
	}
	img, err := snap.must(ref)
	if err != nil {
		return "", err
	}
	src, err := istorage.Transport.NewStoreReference(s.store, nil, img.ID)
	if err != nil {
		return "", err
	}
	dst, err := docker.NewReference(named)
	if err != nil {
		return "", err
	}
	sys, err := s.registryContext(named)
	if err != nil {
		return "", err
	}
	release, err := s.scratch.transferring(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	progress.say(api.Progress{ID: ref, Status: "Working", Text: "Pushing"})
	manifest, err := s.copy(ctx, dst, src, copy.Options{SourceCtx: s.sys, DestinationCtx: sys}, ref, progress)
	if err != nil {
		progress.say(api.Progress{ID: ref, Status: "Error", Text: "Failed", Details: err.Error()})
		return "", fmt.Errorf("cannot push %q: %w", ref, classify(err))
	}
	progress.say(api.Progress{ID: ref, Status: "Done", Text: "Pushed", Percent: 100})
	return digest.FromBytes(manifest).String(), nil
}
