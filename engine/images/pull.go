package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/distribution/registry/api/errcode"
	v2 "github.com/docker/distribution/registry/api/v2"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/types"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// Policy says when Pull asks the registry.
type Policy string

const (
	Always  Policy = "always"
	Missing Policy = "missing" // only if there is no usable image of that name here
	Never   Policy = "never"
)

// Pull makes ref mean an image of this store, fetched from its registry if the policy says so. The host's registries.conf
// (mirrors, blocked and insecure registries), policy.json, auth.json and certs.d are honoured. A registry on this host is
// talked to in plain HTTP where it does not speak TLS, as docker does, unless registries.conf has its own opinion of it.
// Not found, not allowed and not reachable are told apart by class.
func (s *Store) Pull(ctx context.Context, ref string, policy Policy, progress Progress) (api.ImageSummary, error) {
	named, err := Normalize(ref)
	if err != nil {
		return api.ImageSummary{}, err
	}
	if policy != Always {
		sum, err := s.present(ctx, ref)
		if err == nil || policy == Never || !errdefs.IsNotFound(err) {
			return sum, err
		}
	}
	release, err := s.scratch.transferring(ctx)
	if err != nil {
		return api.ImageSummary{}, err
	}
	defer release()
	progress.say(api.Progress{ID: ref, Status: "Working", Text: "Pulling"})
	sum, err := s.fetch(ctx, named, ref, progress)
	if err != nil {
		progress.say(api.Progress{ID: ref, Status: "Error", Text: "Failed", Details: err.Error()})
		return sum, fmt.Errorf("cannot pull %q: %w", ref, err)
	}
	progress.say(api.Progress{ID: ref, Status: "Done", Text: "Pulled", Percent: 100})
	return sum, nil
}

func (s *Store) present(ctx context.Context, ref string) (api.ImageSummary, error) {
	reply, err := s.Resolve(ctx, []string{ref}, "")
	if err != nil {
		return api.ImageSummary{}, err
	}
	if img, ok := reply.Images[ref]; ok {
		return s.summaryOf(img.ID)
	}
	return api.ImageSummary{}, fault.New(errdefs.ErrNotFound, "image %q %s", ref, cmp.Or(reply.Why[ref], "not found"))
}

func (s *copier) fetch(ctx context.Context, named reference.Named, id string, progress Progress) (api.ImageSummary, error) {
	src, err := docker.NewReference(named)
	if err != nil {
		return api.ImageSummary{}, err
	}
	sys, err := s.registryContext(named)
	if err != nil {
		return api.ImageSummary{}, err
	}
	got, err := s.bring(ctx, transfer{src: src, srcSys: sys, names: []reference.Named{named}, id: id}, progress)
	if err != nil {
		return api.ImageSummary{}, classify(err)
	}
	s.warn(got, id, progress)
	return s.summaryOf(got)
}

func (s *copier) registryContext(named reference.Named) (*types.SystemContext, error) {
	if !loopback(reference.Domain(named)) {
		return s.sys, nil
	}
	known, err := sysregistriesv2.FindRegistry(s.sys, named.Name())
	if err != nil {
		return nil, fault.New(errdefs.ErrFailedPrecondition, "cannot read registries.conf: %w", err)
	}
	sys := *s.sys
	if known == nil {
		sys.DockerInsecureSkipTLSVerify = types.OptionalBoolTrue
	}
	return &sys, nil
}

// loopback reports whether a registry, host or host:port, is on this host.
func loopback(domain string) bool {
	host := domain
	if h, _, err := net.SplitHostPort(domain); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// classify adds the class that a failed pull belongs to.
func classify(err error) error {
	var (
		denied  docker.ErrUnauthorizedForCredentials
		status  docker.UnexpectedHTTPStatusError
		network net.Error
		dial    *url.Error
	)
	switch {
	case errors.As(err, &denied), hasCode(err, errcode.ErrorCodeUnauthorized):
		return fault.New(errdefs.ErrUnauthenticated, "%w", err)
	case hasCode(err, errcode.ErrorCodeDenied):
		return fault.New(errdefs.ErrPermissionDenied, "%w", err)
	case hasCode(err, v2.ErrorCodeManifestUnknown, v2.ErrorCodeNameUnknown), errors.As(err, &status) && status.StatusCode == http.StatusNotFound:
		return fault.New(errdefs.ErrNotFound, "%w", err)
	case errors.As(err, &network), errors.As(err, &dial), errors.As(err, &status), errors.Is(err, docker.ErrTooManyRequests):
		return fault.New(errdefs.ErrUnavailable, "%w", err)
	}
	return err
}

func hasCode(err error, codes ...errcode.ErrorCode) bool {
	var one errcode.Error
	if !errors.As(err, &one) {
		var many errcode.Errors
		if !errors.As(err, &many) || len(many) == 0 || !errors.As(many[0], &one) {
			return false
		}
	}
	return slices.Contains(codes, one.Code)
}
