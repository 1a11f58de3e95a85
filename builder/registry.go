package builder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"podc.example/podc/engine/images"
	"podc.example/podc/internal/fault"
)

// registry is podc's image store as BuildKit sees it: a registry, in this process, that has every image of every host. BuildKit fetches
// from registries and from nowhere else; podc fetches images by its own rules (registries.conf, policy.json, credentials), and those
// that exist only here serve as well. An image's manifest is made anew, since its layers are no longer compressed.
type registry struct {
	open func() (*images.Store, error)

	mu   sync.Mutex // protects what follows
	seen map[digest.Digest]*baseImage
}

// baseImage is an image that was asked for.
type baseImage struct {
	*images.Base
	manifest []byte
}

// hosts makes every host this registry.
func (r *registry) hosts(host string) ([]docker.RegistryHost, error) {
	return []docker.RegistryHost{{
		Client: &http.Client{Transport: r}, Host: host, Scheme: "http", Path: "/v2",
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
	}}, nil
}

// look finds the image that ref means here. errdefs.IsNotFound if there is none.
func (r *registry) look(ref string) (*baseImage, error) {
	s, err := r.open()
	if err != nil {
		return nil, err
	}
	found, err := s.Base(ref)
	if err != nil {
		return nil, err
	}
	b := &baseImage{Base: found}
	if b.manifest, err = manifestOf(found); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[b.digest()] = b
	return b, nil
}

func (b *baseImage) digest() digest.Digest { return digest.FromBytes(b.manifest) }

func manifestOf(b *images.Base) ([]byte, error) {
	m := ocispecs.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageManifest,
		Config: ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageConfig, Digest: digest.FromBytes(b.Config), Size: int64(len(b.Config))},
		Layers: []ocispecs.Descriptor{},
	}
	for _, l := range b.Layers {
		m.Layers = append(m.Layers, ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageLayer, Digest: l.DiffID, Size: l.Size})
	}
	return json.Marshal(m)
}

// RoundTrip is that of net/http's transports.
func (r *registry) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		req.Body.Close()
	}
	answer := &http.Response{
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: req, Body: http.NoBody, StatusCode: http.StatusOK,
	}
	err := r.answer(req.Context(), req.Method, req.URL.Host, strings.TrimPrefix(req.URL.Path, "/v2/"), answer)
	switch {
	case errdefs.IsNotFound(err):
		answer.StatusCode = http.StatusNotFound
	case err != nil:
		return nil, err
	}
	answer.Status = strconv.Itoa(answer.StatusCode) + " " + http.StatusText(answer.StatusCode)
	return answer, nil
}

func (r *registry) answer(ctx context.Context, method, host, path string, answer *http.Response) error {
	if name, ref, ok := strings.Cut(path, "/manifests/"); ok {
		return r.answerManifest(method, host+"/"+name, ref, answer)
	}
	_, ref, ok := strings.Cut(path, "/blobs/")
	if !ok {
		return fault.New(errdefs.ErrNotFound, "%s", path)
	}
	return r.answerBlob(method, digest.Digest(ref), answer)
}

func (r *registry) answerManifest(method, name, ref string, answer *http.Response) error {
	b, err := r.manifest(name, ref)
	if err != nil {
		return err
	}
	send(answer, method, ocispecs.MediaTypeImageManifest, b.digest(), int64(len(b.manifest)), io.NopCloser(bytes.NewReader(b.manifest)))
	return nil
}

// manifest is that of a tag, or the one with a digest.
func (r *registry) manifest(name, ref string) (*baseImage, error) {
	if d := digest.Digest(ref); d.Validate() == nil {
		r.mu.Lock()
		b := r.seen[d]
		r.mu.Unlock()
		if b != nil {
			return b, nil
		}
		return nil, fault.New(errdefs.ErrNotFound, "%s", ref)
	}
	return r.look(name + ":" + ref)
}

func (r *registry) answerBlob(method string, d digest.Digest, answer *http.Response) error {
	config, layer := r.blob(d)
	switch {
	case config != nil:
		send(answer, method, "application/octet-stream", d, int64(len(config)), io.NopCloser(bytes.NewReader(config)))
	case layer != nil && method == http.MethodHead:
		send(answer, method, "application/octet-stream", d, layer.Size, http.NoBody)
	case layer != nil:
		s, err := r.open()
		if err != nil {
			return err
		}
		stream, err := s.OpenLayer(*layer)
		if err != nil {
			return err
		}
		send(answer, method, "application/octet-stream", d, layer.Size, stream)
	default:
		return fault.New(errdefs.ErrNotFound, "%s", d)
	}
	return nil
}

// blob finds a config or a layer of an image that was asked for.
func (r *registry) blob(d digest.Digest) ([]byte, *images.BaseLayer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.seen {
		if digest.FromBytes(b.Config) == d {
			return b.Config, nil
		}
		for i := range b.Layers {
			if b.Layers[i].DiffID == d {
				return nil, &b.Layers[i]
			}
		}
	}
	return nil, nil
}

func send(answer *http.Response, method, kind string, d digest.Digest, size int64, body io.ReadCloser) {
	answer.Header.Set("Content-Type", kind)
	answer.Header.Set("Content-Length", strconv.FormatInt(size, 10))
	answer.Header.Set("Docker-Content-Digest", d.String())
	answer.ContentLength = size
	if method == http.MethodHead {
		body.Close()
		return
	}
	answer.Body = body
}

// local is ref as it is to be asked for here: a digest that names an image as it came from its registry becomes that of the manifest
// that this registry has made of it.
func (r *registry) local(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	digested, ok := named.(reference.Digested)
	if !ok {
		return ref
	}
	r.mu.Lock()
	_, known := r.seen[digested.Digest()]
	r.mu.Unlock()
	if known {
		return ref
	}
	b, err := r.look(ref)
	if err != nil {
		return ref
	}
	return fmt.Sprintf("%s@%s", reference.TrimNamed(named), b.digest())
}

// has reports whether ref names a manifest that this registry has made.
func (r *registry) has(ref string) bool {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return false
	}
	digested, ok := named.(reference.Digested)
	r.mu.Lock()
	defer r.mu.Unlock()
	return ok && r.seen[digested.Digest()] != nil
}
