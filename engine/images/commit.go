package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"go.podman.io/storage"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podcimage"
)

// Commit makes an image of the image req.Image, with the layer that layer holds as a tar stream on top, and req's config. A name
// moves away from the image that had it before. When it fails nothing is left of it.
func (s *Store) Commit(ctx context.Context, req podcimage.CommitRequest, layer io.Reader) (sum api.ImageSummary, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot make an image: %w", err)
		}
	}()
	var names []string
	if req.Name != "" {
		name, err := tagName(req.Name)
		if err != nil {
			return sum, err
		}
		names = []string{name}
	}
	release, err := s.scratch.transferring(ctx)
	if err != nil {
		return sum, err
	}
	defer release()
	below, err := s.below(req.Image)
	if err != nil {
		return sum, err
	}
	l, size, err := s.store.PutLayer("", below.image.TopLayer, nil, "", false, nil, &counted{r: layer, ctx: ctx})
	if err != nil {
		return sum, fmt.Errorf("cannot store its layer: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.store.DeleteLayer(l.ID))
		}
	}()
	id, err := s.putCommitted(below, req, l, size)
	if err != nil {
		return sum, err
	}
	if len(names) > 0 {
		if err := s.store.AddNames(id, names); err != nil {
			_, gone := s.store.DeleteImage(id, true)
			return sum, errors.Join(err, gone)
		}
	}
	return s.summaryOf(id)
}

// base is an image that another one is made of.
type base struct {
	image            *storage.Image
	config, manifest map[string]json.RawMessage
}

// below finds the image with an ID. One that lost its record, but whose layers a pod still uses, is not enough.
func (s reader) below(id string) (*base, error) {
	snap, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	b := &base{image: snap.byID(id)}
	if b.image == nil {
		return nil, fault.New(errdefs.ErrNotFound, "the image %s of the container is not there any more", short(id))
	}
	config, err := s.rawConfig(b.image)
	if err != nil {
		return nil, err
	}
	manifest, err := s.store.ImageBigData(id, storage.ImageDigestBigDataKey)
	if err == nil {
		err = errors.Join(json.Unmarshal(config, &b.config), json.Unmarshal(manifest, &b.manifest))
	}
	if err == nil && b.manifest["layers"] == nil {
		err = fault.New(errdefs.ErrFailedPrecondition, "the manifest of the image %s is of an old kind; save and load the image first", short(id))
	}
	return b, err
}

// putCommitted records the image of a layer that is stored.
func (s *Store) putCommitted(b *base, req podcimage.CommitRequest, l *storage.Layer, size int64) (string, error) {
	now := time.Now().UTC()
	config, err := b.newConfig(req, l.UncompressedDigest, now)
	if err != nil {
		return "", err
	}
	if _, err := parseConfig(config); err != nil { // what podc would not run, it does not make
		return "", fault.New(errdefs.ErrInvalidArgument, "%w", err)
	}
	configDigest := digest.FromBytes(config)
	manifest, err := b.newManifest(configDigest, int64(len(config)), l.UncompressedDigest, size)
	if err != nil {
		return "", err
	}
	manifestDigest := digest.FromBytes(manifest)
	_, err = s.store.CreateImage(configDigest.Encoded(), nil, l.ID, "", &storage.ImageOptions{
		CreationDate: now, Digest: manifestDigest,
		BigData: []storage.ImageBigDataOption{
			{Key: storage.ImageDigestBigDataKey, Data: manifest, Digest: manifestDigest},
			{Key: storage.ImageDigestManifestBigDataNamePrefix + "-" + manifestDigest.String(), Data: manifest, Digest: manifestDigest},
			{Key: configDigest.String(), Data: config, Digest: configDigest},
		},
	})
	return configDigest.Encoded(), err
}

// newConfig is the config of the image below with another way to run, one more layer, and one more line of history. Keys that
// podc does not know stay.
func (b *base) newConfig(req podcimage.CommitRequest, diffID digest.Digest, now time.Time) ([]byte, error) {
	var rootfs struct {
		Type    string          `json:"type"`
		DiffIDs []digest.Digest `json:"diff_ids"`
	}
	var history []any
	run := map[string]json.RawMessage{}
	err := errors.Join(decode(b.config["rootfs"], &rootfs), decode(b.config["history"], &history), decode(b.config["config"], &run))
	if err != nil {
		return nil, err
	}
	rootfs.DiffIDs = append(rootfs.DiffIDs, diffID)
	var onBuild []string
	if err := decode(run["OnBuild"], &onBuild); err != nil {
		return nil, err
	}
	req.Config.OnBuild = append(onBuild, req.Config.OnBuild...)
	for _, key := range []string{"User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "Healthcheck", "OnBuild", "ArgsEscaped"} {
		delete(run, key)
	}
	changed, err := json.Marshal(req.Config)
	if err == nil {
		err = json.Unmarshal(changed, &run)
	}
	step := struct {
		Created   time.Time `json:"created"`
		CreatedBy string    `json:"created_by,omitempty"`
		Author    string    `json:"author,omitempty"`
		Comment   string    `json:"comment,omitempty"`
	}{now, req.Command, req.Author, req.Message}
	config := map[string]any{}
	for k, v := range b.config {
		if !slices.Contains([]string{"container", "container_config", "docker_version", "id", "parent"}, strings.ToLower(k)) {
			config[k] = v
		}
	}
	config["created"], config["config"], config["rootfs"] = now, run, rootfs
	config["history"] = append(history, step)
	if req.Author != "" {
		config["author"] = req.Author
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(config)
}

func decode(raw json.RawMessage, v any) error {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return json.Unmarshal(raw, v)
}

// newManifest is the manifest of the image below with another config and one more layer, which is not compressed.
func (b *base) newManifest(config digest.Digest, configSize int64, layer digest.Digest, layerSize int64) ([]byte, error) {
	var layers []any
	var descriptor map[string]any
	if err := errors.Join(decode(b.manifest["layers"], &layers), decode(b.manifest["config"], &descriptor)); err != nil {
		return nil, err
	}
	kind := "application/vnd.oci.image.layer.v1.tar"
	if t, _ := descriptor["mediaType"].(string); strings.HasPrefix(t, "application/vnd.docker.") {
		kind = "application/vnd.docker.image.rootfs.diff.tar"
	}
	descriptor["digest"], descriptor["size"] = config, configSize
	manifest := map[string]any{}
	for k, v := range b.manifest {
		if k != "annotations" && k != "subject" {
			manifest[k] = v
		}
	}
	manifest["config"] = descriptor
	manifest["layers"] = append(layers, map[string]any{"mediaType": kind, "digest": layer, "size": layerSize})
	return json.Marshal(manifest)
}
