package images

import (
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/storage"

	"podc.example/podc/internal/fault"
)

// Normalize completes a reference as docker does: `web` is docker.io/library/web:latest, `localhost/web` keeps its host. Of
// a reference with tag and digest the digest decides, so the tag goes.
func Normalize(ref string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, fault.New(errdefs.ErrInvalidArgument, "%q is no image reference: %w", ref, err)
	}
	if d, ok := named.(reference.Digested); ok {
		return reference.WithDigest(reference.TrimNamed(named), d.Digest())
	}
	return reference.TagNameOnly(named), nil
}

// find returns the image that ref means, or nil. Names come before IDs, an exact name before a guess: a short name that
// docker would look for on Docker Hub may also be an image built here by podman, which calls it localhost/name.
func (snap *snapshot) find(ref string) (*storage.Image, error) {
	if id, ok := strings.CutPrefix(ref, "sha256:"); ok {
		return snap.byPrefix(ref, id)
	}
	named, err := Normalize(ref)
	if err != nil {
		return snap.byPrefix(ref, ref)
	}
	if img := snap.byName(named); img != nil {
		return img, nil
	}
	if !strings.Contains(ref, "/") {
		if local, err := Normalize("localhost/" + ref); err == nil {
			if img := snap.byName(local); img != nil {
				return img, nil
			}
		}
	}
	return snap.byPrefix(ref, ref)
}

func (snap *snapshot) byName(named reference.Named) *storage.Image {
	for i := range snap.images {
		img := &snap.images[i]
		if slices.Contains(img.Names, named.String()) || hasDigest(img, named) {
			return img
		}
	}
	return nil
}

// hasDigest reports whether named is name@digest and the image is known by both, in whatever combination.
func hasDigest(img *storage.Image, named reference.Named) bool {
	d, ok := named.(reference.Digested)
	if !ok || !slices.Contains(img.Digests, d.Digest()) {
		return false
	}
	return slices.ContainsFunc(img.Names, func(name string) bool {
		n, err := reference.ParseNormalizedNamed(name)
		return err == nil && n.Name() == named.Name()
	})
}

var hexID = regexp.MustCompile(`^[0-9a-f]{4,64}$`)

func (snap *snapshot) byPrefix(ref, prefix string) (*storage.Image, error) {
	if !hexID.MatchString(prefix) {
		return nil, nil
	}
	var found *storage.Image
	for i := range snap.images {
		if !strings.HasPrefix(snap.images[i].ID, prefix) {
			continue
		}
		if found != nil {
			return nil, fault.New(errdefs.ErrInvalidArgument, "%q is the beginning of more than one image id", ref)
		}
		found = &snap.images[i]
	}
	return found, nil
}

func (snap *snapshot) byID(id string) *storage.Image {
	for i := range snap.images {
		if snap.images[i].ID == id {
			return &snap.images[i]
		}
	}
	return nil
}

// must is find for a caller who needs the image.
func (snap *snapshot) must(ref string) (*storage.Image, error) {
	img, err := snap.find(ref)
	if err != nil {
		return nil, err
	}
	if img == nil {
		// A mistyped reference is told as such.
		if _, err := Normalize(ref); err != nil && !hexID.MatchString(strings.TrimPrefix(ref, "sha256:")) {
			return nil, err
		}
		return nil, fault.New(errdefs.ErrNotFound, "image %q not found", ref)
	}
	return img, nil
}

// nameOf is the name that the image was asked for by; ref must have found it.
func (snap *snapshot) nameOf(img *storage.Image, ref string) string {
	for _, form := range []string{ref, "localhost/" + ref} {
		if named, err := Normalize(form); err == nil && slices.Contains(img.Names, named.String()) {
			return named.String()
		}
	}
	return ""
}

// validDigest reports whether d may be used as a file name and as a check.
func validDigest(d digest.Digest) bool { return d.Validate() == nil }
