package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/archive"

	streams "podc.example/podc/archive"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

const (
	// maxLayers is docker's limit too. Each layer costs the store a pass over its indexes, and a mount has room for few hundred.
	maxLayers = 127
	// maxDepth is how many folders lie on the way to a file of a layer, links followed; images have 40 at most. For each file
	// containers/storage looks at every folder on its way, in time that grows with the square of their number.
	maxDepth = 100
	// maxNames is what all names of a layer take, in bytes, with nameCost for each entry: containers/storage has them in memory, and
	// so have layerPaths those of links. More than a million files take so much.
	maxNames = 256 << 20
	nameCost = 64
)

// limited is an image of which nothing is fetched if it has more layers than any tool makes. How many the images of a list have
// is not asked, which a registry would count as one more download: checkedStore takes none too many of theirs.
type limited struct{ types.ImageReference }

// NewImageSource is types.ImageReference's. The source of a registry keeps the manifest that is read here. What is wrong with one
// is left to whoever copies the image.
func (l limited) NewImageSource(ctx context.Context, sys *types.SystemContext) (types.ImageSource, error) {
	src, err := l.ImageReference.NewImageSource(ctx, sys)
	if err != nil {
		return nil, err
	}
	blob, kind, err := src.GetManifest(ctx, nil)
	if err != nil || manifest.MIMETypeIsMultiImage(kind) {
		return src, nil
	}
	if m, err := manifest.FromBlob(blob, kind); err == nil {
		if err := checkLayers(len(m.LayerInfos())); err != nil {
			return nil, errors.Join(err, src.Close())
		}
	}
	return src, nil
}

func checkLayers(n int) error {
	if n > maxLayers {
		return fault.New(errdefs.ErrInvalidArgument, "the image has %d layers, and %d are the most", n, maxLayers)
	}
	return nil
}

// checkedStore is a store that takes no layer that was made to harm, whoever brings it.
type checkedStore struct{ storage.Store }

// PutLayer is storage.Store's, of a layer that may be compressed. What is bad of it never reaches the store, which unpacks at once
// what it gets, and nothing is left of the rest.
func (s checkedStore) PutLayer(id, parent string, names []string, mountLabel string, writeable bool, options *storage.LayerOptions, diff io.Reader) (*storage.Layer, int64, error) {
	n := 1
	for below := parent; below != ""; n++ {
		l, err := s.Layer(below)
		if err != nil {
			return nil, -1, err
		}
		below = l.Parent
	}
	if err := checkLayers(n); err != nil {
		return nil, -1, err
	}
	options, err := withSize(options, diff)
	if err != nil {
		return nil, -1, err
	}
	plain, err := archive.DecompressStream(diff)
	if err != nil {
		return nil, -1, err
	}
	defer plain.Close()
	c := newLayerCheck(plain)
	l, size, err := s.Store.PutLayer(id, parent, names, mountLabel, writeable, options, c)
	if c.bad != nil {
		return nil, -1, c.bad
	}
	return l, size, err
}

// withSize says how long a layer is as it came, beside the digest of that: the store does not see it as it came.
func withSize(options *storage.LayerOptions, diff io.Reader) (*storage.LayerOptions, error) {
	f, ok := diff.(*os.File)
	if !ok || options == nil || options.OriginalDigest == "" || options.OriginalSize != nil {
		return options, nil
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	with, size := *options, fi.Size()
	with.OriginalSize = &size
	return &with, nil
}

// layerCheck is a layer on its way into the store. The first bad header ends the stream before it.
type layerCheck struct {
	entries *tar.Reader
	layer   io.Reader
	seen    step // what was read and is not passed on yet
	over    bool // no entry follows, or none that can be read, which is left to the store, since it reads the layer the same way
	paths   layerPaths
	holes   streams.Holes
	bad     error
}

func newLayerCheck(layer io.Reader) *layerCheck {
	c := &layerCheck{layer: layer}
	c.entries = tar.NewReader(io.TeeReader(layer, &c.seen))
	return c
}

func (c *layerCheck) Read(b []byte) (int, error) {
	for c.seen.Len() == 0 && !c.over && c.bad == nil {
		c.advance()
	}
	switch {
	case c.bad != nil:
		return 0, c.bad
	case c.seen.Len() > 0:
		return c.seen.Read(b)
	}
	return c.layer.Read(b)
}

// advance reads some of the content of an entry, or the header of the next.
func (c *layerCheck) advance() {
	if _, err := io.CopyN(io.Discard, c.entries, 64<<10); err == nil {
		return
	}
	h, err := c.entries.Next()
	if err == nil {
		err = errors.Join(c.paths.add(h), c.holes.Add(h))
	} else if !errors.Is(err, errLong) {
		c.over = true
		return
	}
	if err != nil {
		c.bad = fault.New(errdefs.ErrInvalidArgument, "cannot unpack a layer: %w", err)
	}
}

// step has what belongs to one header: its long names and attributes among them, a MiB each at most.
type step struct{ bytes.Buffer }

var errLong = errors.New("a header is longer than 4 MiB")

func (s *step) Write(b []byte) (int, error) {
	if s.Len()+len(b) > 4<<20 {
		return 0, errLong
	}
	return s.Buffer.Write(b)
}

// layerPaths follows the paths of a layer as the store does when it unpacks the layer: through the links that were made before.
type layerPaths struct {
	links map[string]string // by their places: where they lead
	names int               // bytes of all
}

// add fails for what no image has; the error has no class.
func (p *layerPaths) add(h *tar.Header) error {
	if p.names += len(h.Name) + len(h.Linkname) + nameCost; p.names > maxNames {
		return fmt.Errorf("the names of its files take more than %d MiB", maxNames>>20)
	}
	if err := errors.Join(valid.PathLength(h.Name), valid.PathLength(h.Linkname)); err != nil {
		return err
	}
	place, err := p.place(h.Name)
	if err != nil {
		return err
	}
	leads := ""
	switch h.Typeflag {
	case tar.TypeSymlink:
		leads = h.Linkname
	case tar.TypeLink:
		same, err := p.place(h.Linkname)
		if err != nil {
			return err
		}
		leads = p.links[same]
	}
	if leads == "" {
		delete(p.links, place)
		return nil
	}
	if p.links == nil {
		p.links = map[string]string{}
	}
	p.links[place] = leads
	return nil
}

// place is where a file comes to lie.
func (p *layerPaths) place(name string) (string, error) {
	dir, base := path.Split(path.Clean("/" + name))
	var at []byte
	steps := 0
	for rest := strings.Trim(dir, "/"); rest != ""; rest = strings.TrimLeft(rest, "/") {
		if steps++; steps > maxDepth {
			return "", fmt.Errorf("%.60q is more than %d folders deep, links followed", name, maxDepth)
		}
		var part string
		switch part, rest, _ = strings.Cut(rest, "/"); part {
		case ".":
		case "..":
			at = at[:max(0, bytes.LastIndexByte(at, '/'))]
		default:
			parent := len(at)
			at = append(append(at, '/'), part...)
			leads, link := p.links[string(at)]
			if !link {
				continue
			}
			if at = at[:parent]; path.IsAbs(leads) {
				at = at[:0]
			}
			rest = leads + "/" + rest
			if err := valid.PathLength(rest); err != nil {
				return "", err
			}
		}
	}
	return string(at) + "/" + base, nil
}
