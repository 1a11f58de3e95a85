package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/archive"

	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

const (
	// maxLayers is docker's limit too. Each layer costs the store a pass over its indexes, and a mount has room for few hundred.
	maxLayers = 127
	// maxDepth is how many folders lie on the way to a file of a layer, links followed; images have 40 at most. For each file
	// containers/storage looks at every folder on its way, in time that grows with the square of their number.
	maxDepth = 100
	// maxNames is what all names of a layer take, in bytes: containers/storage has them in memory. A million files take so much.
	maxNames = 128 << 20
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

// PutLayer is storage.Store's. It fails before the first bad entry is unpacked, or soon after, and then leaves nothing.
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
	c := newLayerCheck(diff)
	l, size, err := s.Store.PutLayer(id, parent, names, mountLabel, writeable, options, c)
	if why := c.end(); why != nil {
		return nil, -1, why
	}
	return l, size, err
}

// layerCheck is a layer on its way into the store. Its headers are looked at meanwhile; the first bad one ends the stream.
type layerCheck struct {
	io.Reader
	w    *io.PipeWriter
	done chan struct{}
	err  error
}

func newLayerCheck(layer io.Reader) *layerCheck {
	r, w := io.Pipe()
	c := &layerCheck{Reader: layer, w: w, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = checkLayer(r)
		r.CloseWithError(c.err)
	}()
	return c
}

func (c *layerCheck) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if n > 0 {
		if _, bad := c.w.Write(b[:n]); bad != nil {
			return 0, bad
		}
	}
	if errors.Is(err, io.EOF) && c.end() != nil {
		return 0, c.err
	}
	return n, err
}

// end waits for the check of what was read.
func (c *layerCheck) end() error {
	c.w.Close()
	<-c.done
	return c.err
}

// checkLayer reads a layer, compressed or not, to its end. What is no tar stream is left to the store, which reads it the same way.
func checkLayer(r io.Reader) error {
	if plain, err := archive.DecompressStream(r); err == nil {
		defer plain.Close()
		var paths layerPaths
		entries := tar.NewReader(plain)
		for h, err := entries.Next(); err == nil; h, err = entries.Next() {
			if err := paths.add(h); err != nil {
				return fault.New(errdefs.ErrInvalidArgument, "cannot unpack a layer: %w", err)
			}
		}
	}
	_, err := io.Copy(io.Discard, r)
	return err
}

// layerPaths follows the paths of a layer as the store does when it unpacks the layer: through the links that were made before.
type layerPaths struct {
	links map[string]string // by their places: where they lead
	names int               // bytes of all
}

// add fails for what no image has; the error has no class.
func (p *layerPaths) add(h *tar.Header) error {
	if p.names += len(h.Name) + len(h.Linkname); p.names > maxNames {
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
