package images

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"go.podman.io/image/v5/docker/archive"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/oci/layout"
	"go.podman.io/image/v5/pkg/compression"
	"go.podman.io/image/v5/types"

	"podc.example/podc/api"
	streams "podc.example/podc/archive"
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
	s.warn(id, label(sum.Names, sum.ID), progress)
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

// label is how an image, or a container, is called in what is told of it.
func label(names []string, id string) string {
	if len(names) > 0 {
		return names[0]
	}
	return short(id)
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

// candidate is one image found in an archive, and the names it brings along.
type candidate struct {
	src   types.ImageReference
	names []reference.Named
}

// opened is an archive laid out so that its images can be copied. Close removes what was written for it.
type opened struct {
	images []candidate
	close  func() error
}

// open lays out the archive r, whatever it is: a docker-archive or an oci-archive, as it is or compressed with gzip, zstd,
// xz or bzip2. An uncompressed regular file is read in place.
func (s *copier) open(ctx context.Context, r io.Reader, name string, progress Progress) (_ *opened, err error) {
	dir, err := os.MkdirTemp(s.scratch.dir, s.scratch.prefix)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	f, err := spool(ctx, r, dir, name, progress)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	docker, err := isDocker(f)
	if err != nil {
		return nil, err
	}
	o := &opened{close: func() error { return os.RemoveAll(dir) }}
	if docker {
		return o, s.openDocker(o, f.Name())
	}
	return o, s.openOCI(ctx, o, f, filepath.Join(dir, "oci"))
}

// spool gives a seekable, uncompressed file with the content of r, which is r itself if it already is one.
func spool(ctx context.Context, r io.Reader, dir, name string, progress Progress) (*os.File, error) {
	in := &counted{r: r, ctx: ctx, id: name, progress: progress}
	decompress, rest, err := compression.DetectCompression(in)
	if err != nil {
		return nil, fmt.Errorf("cannot read: %w", err)
	}
	if f, ok := r.(*os.File); ok {
		fi, err := f.Stat()
		if err == nil && fi.Mode().IsRegular() {
			if in.total = fi.Size(); decompress == nil {
				return os.Open(f.Name())
			}
		}
	}
	if decompress != nil {
		plain, err := decompress(rest)
		if err != nil {
			return nil, broken(err)
		}
		defer plain.Close()
		rest = plain
	}
	out, err := os.Create(filepath.Join(dir, "archive.tar"))
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(out, rest); err != nil {
		out.Close()
		return nil, broken(err)
	}
	return out, nil
}

func broken(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) || errdefs.IsInvalidArgument(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.New(errdefs.ErrInvalidArgument, "it is damaged or cut off: %w", err)
}

// counted reports how far a read has come, a hundred times at most, and ends it with its context.
type counted struct {
	r           io.Reader
	ctx         context.Context
	id          string
	n, total    int64
	said, every int64
	progress    Progress
}

func (c *counted) Read(p []byte) (int, error) {
	if err := ended(c.ctx); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.every == 0 {
		c.every = max(c.total/100, 1<<20)
	}
	if c.n-c.said >= c.every {
		c.said = c.n
		c.progress.say(api.Progress{ID: c.id, Status: "Working", Text: "Reading", Current: c.n, Total: c.total, Percent: percent(c.n, c.total)})
	}
	return n, err
}

func percent(n, total int64) int {
	if total <= 0 {
		return 0
	}
	return int(min(100, n*100/total))
}

// isDocker tells a docker-archive (true) from an oci-archive by its content. One that is both, as docker makes since
// version 25, is a docker-archive: that side names all its images.
func isDocker(f *os.File) (bool, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	var docker, oci, root bool
	err := eachEntry(f, func(h *tar.Header, _ io.Reader) error {
		switch name := cleanEntry(h.Name); {
		case name == "manifest.json":
			docker = true
		case name == "index.json" || name == "oci-layout":
			oci = true
		case strings.HasPrefix(name, "etc/") || strings.HasPrefix(name, "usr/"):
			root = true
		}
		return nil
	})
	switch {
	case err != nil:
		return false, broken(err)
	case docker || oci:
		return docker, nil
	case root:
		return false, fault.New(errdefs.ErrInvalidArgument, "it is a root filesystem, not an image: `load` reads what `save` wrote")
	}
	return false, fault.New(errdefs.ErrInvalidArgument, "it is neither a docker-archive (no manifest.json) nor an oci-archive (no index.json)")
}

func cleanEntry(name string) string { return strings.TrimPrefix(strings.TrimSuffix(name, "/"), "./") }

func eachEntry(f io.Reader, do func(*tar.Header, io.Reader) error) error {
	t := tar.NewReader(f)
	var holes streams.Holes
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = holes.Add(h)
		}
		if err == nil {
			err = do(h, t)
		}
		if err != nil {
			return err
		}
	}
}

// openDocker lists the images of a docker-archive with all their tags.
func (s *copier) openDocker(o *opened, path string) error {
	r, err := archive.NewReader(s.sys, path)
	if err != nil {
		return broken(err)
	}
	remove := o.close
	o.close = func() error { return errors.Join(r.Close(), remove()) }
	list, err := r.List()
	if err != nil {
		return errors.Join(broken(err), o.close())
	}
	for _, refs := range list {
		if len(refs) == 0 {
			continue
		}
		c := candidate{src: refs[0]}
		for _, ref := range refs {
			if n := ref.DockerReference(); n != nil {
				c.names = append(c.names, reference.TagNameOnly(n))
			}
		}
		o.images = append(o.images, c)
	}
	return nil
}

// ociEntry is what an OCI layout may hold. Everything else in the archive, links above all, is left there.
var ociEntry = regexp.MustCompile(`^(oci-layout|index\.json|blobs/[a-z0-9]+/[0-9a-f]{32,128})$`)

// openOCI unpacks an oci-archive and lists its images by the names in their annotations.
func (s *copier) openOCI(ctx context.Context, o *opened, f *os.File, dir string) error {
	if err := unpackOCI(ctx, f, dir); err != nil {
		return err
	}
	list, err := layout.List(dir)
	if err != nil {
		return broken(err)
	}
	for _, entry := range list {
		c := candidate{src: entry.Reference}
		a := entry.ManifestDescriptor.Annotations
		// containerd and docker write the full name beside the standard annotation, which then is only a tag.
		if name := cmp.Or(a["io.containerd.image.name"], a["org.opencontainers.image.ref.name"]); name != "" {
			named, err := Normalize(name)
			if err != nil {
				return err
			}
			c.names = append(c.names, named)
		}
		o.images = append(o.images, c)
	}
	return nil
}

func unpackOCI(ctx context.Context, f *os.File, dir string) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	err := eachEntry(f, func(h *tar.Header, r io.Reader) error {
		name := cleanEntry(h.Name)
		if !ociEntry.MatchString(name) {
			return nil
		}
		if h.Typeflag != tar.TypeReg {
			return fmt.Errorf("%s is no regular file", name)
		}
		return writeEntry(ctx, filepath.Join(dir, name), r)
	})
	if err != nil {
		return broken(err)
	}
	return nil
}

func writeEntry(ctx context.Context, path string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, &counted{r: r, ctx: ctx})
	return errors.Join(err, out.Close())
}
