package control

import (
	"context"
	"io"
	"path"

	"podc.example/podc/api"
	"podc.example/podc/dockerapi"
)

// Images are those of the image store, which podc may share with other programs. An image is named by a reference, by its id or the
// beginning of that.
type Images interface {
	// List lists the images for which f holds (ImageFilters), the newest first.
	List(ctx context.Context, f Filters) ([]api.ImageSummary, error)
	// Inspect tells all about images, in the order asked for.
	Inspect(ctx context.Context, refs ...string) ([]api.ImageDetails, error)
	// Pull fetches an image from its registry, whether it is here already or not.
	Pull(ctx context.Context, ref string, with ImageWatch) (api.ImageSummary, error)
	// Push sends an image to its registry and answers the digest of its manifest there.
	Push(ctx context.Context, ref string, with ImageWatch) (string, error)
	// Build makes an image and answers its id. Where b names files, they are of the machine that podc is on.
	Build(ctx context.Context, b api.Build, with ImageWatch) (string, error)
	// Load stores the images of an archive, docker's or OCI's.
	Load(ctx context.Context, from Archive, with ImageWatch) ([]api.ImageSummary, error)
	// Tag gives an image one more name.
	Tag(ctx context.Context, ref, name string) error
	// Remove takes names away, and images with their last name: with force, and named by its id, one too that has several. One that
	// a project uses stays (errdefs.IsFailedPrecondition). What was removed is told beside an error.
	Remove(ctx context.Context, refs []string, force bool) (RemovedImages, error)
	// Prune removes the images that nobody uses: those without a name, or all of them.
	Prune(ctx context.Context, f Filters, all bool) (Pruned, error)
	// Where is the folder of the image store.
	Where(ctx context.Context) (string, error)
}

// ImageWatch is who asked for images, while they are transferred.
type ImageWatch struct {
	Progress func(api.Progress)
	Warn     func(text string) // hears what libraries complain about
}

// Archive is a file of the machine that podc is on, or, without one, a stream.
type Archive struct {
	File   string
	Stream io.Reader
}

// RemovedImages is what a removal took away.
type RemovedImages struct {
	Untagged []string `json:"untagged,omitempty"` // names
	Deleted  []string `json:"deleted,omitempty"`  // ids of images
}

// NameMatches compares a pattern to the name of an image, with its tag if the pattern has one.
func NameMatches(pattern, repo, tag string) bool {
	wantRepo, wantTag := dockerapi.SplitName(pattern)
	ok, err := path.Match(wantRepo, repo)
	if repo == "" || !ok && (err == nil || wantRepo != repo) {
		return false
	}
	tagged, err := path.Match(wantTag, tag)
	return wantTag == "" || tagged || err != nil && wantTag == tag
}
