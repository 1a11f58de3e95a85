package builder

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/docker/go-units"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
	"github.com/moby/buildkit/util/entitlements"
	"github.com/tonistiigi/fsutil"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podcbuild"
)

// Build makes an image and returns its ID. tell hears of the steps; their ParentID is id.
//
// env is the environment of whoever asks: images are pulled with it.
func (b *Builder) Build(ctx context.Context, spec api.Build, env map[string]string, id string, tell func(api.Progress)) (string, error) {
	scratch, err := os.MkdirTemp("", "podc-build-") // for what is no folder yet
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	if spec.ExtraHosts, err = b.hosts(ctx, spec.ExtraHosts); err != nil {
		return "", err
	}
	opt, err := solveOf(spec, scratch)
	if err != nil {
		return "", err
	}
	opt.SharedSession, err = session.NewSession(ctx, sharedKey(spec.Context))
	if err != nil {
		return "", err
	}
	b.askers.Store(opt.SharedSession.ID(), env)
	defer b.askers.Delete(opt.SharedSession.ID())
	heard := make(chan *client.SolveStatus)
	done := make(chan struct{})
	t := teller{id: id, tell: tell}
	go func() {
		defer close(done)
		for s := range heard {
			t.hear(s)
		}
	}()
	got, err := b.client.Solve(ctx, nil, opt, heard)
	<-done
	if err != nil {
		return "", t.explain(ctx, err)
	}
	return strings.TrimPrefix(got.ExporterResponse[exptypes.ExporterImageConfigDigestKey], "sha256:"), nil
}

// hosts gives host-gateway among extra hosts its address.
func (b *Builder) hosts(ctx context.Context, extra []string) ([]string, error) {
	extra = slices.Clone(extra)
	for i, entry := range extra {
		if name, addr, _ := strings.Cut(entry, "="); addr == "host-gateway" {
			gateway, err := b.steps.network.gateway(ctx)
			if err != nil {
				return nil, err
			}
			extra[i] = name + "=" + gateway.String()
		}
	}
	return extra, nil
}

// solveOf is what BuildKit is asked for a build.
func solveOf(s api.Build, scratch string) (opt client.SolveOpt, err error) {
	opt = client.SolveOpt{
		Frontend: "dockerfile.v0",
		// The frontend that a Dockerfile asks for is this one, whatever its version: none is fetched.
		FrontendAttrs: map[string]string{"cmdline": "built in"},
		LocalMounts:   map[string]fsutil.FS{},
		Exports: []client.ExportEntry{{Type: client.ExporterImage, Attrs: map[string]string{
			"compression": "uncompressed", "force-compression": "true", "dangling-name-prefix": nameless, "danging-name-empty-only": "true",
			"name": strings.Join(s.Names, ","),
		}}},
	}
	a := opt.FrontendAttrs
	if err := addContext(&opt, s, scratch); err != nil {
		return opt, err
	}
	for name, source := range s.Contexts {
		if err := addNamed(&opt, name, source); err != nil {
			return opt, err
		}
	}
	if s.Args["BUILDKIT_SYNTAX"] != "" {
		return opt, fault.New(errdefs.ErrNotImplemented, "the argument BUILDKIT_SYNTAX is not served: the frontend for Dockerfiles is built in")
	}
	for k, v := range s.Args {
		a["build-arg:"+k] = v
	}
	for k, v := range s.Labels {
		a["label:"+k] = v
	}
	set := func(key, value string) {
		if value != "" {
			a[key] = value
		}
	}
	set("target", s.Target)
	set("platform", strings.Join(s.Platforms, ","))
	set("add-hosts", csvLine(s.ExtraHosts))
	set("ulimit", csvLine(ulimits(s.Ulimits)))
	if s.Pull {
		a["image-resolve-mode"] = "pull"
	}
	if s.NoCache || len(s.NoCacheFilter) > 0 {
		a["no-cache"] = strings.Join(s.NoCacheFilter, ",")
	}
	if s.ShmSize > 0 {
		a["shm-size"] = strconv.FormatInt(s.ShmSize, 10)
	}
	if s.Memory > 0 {
		a["memory"] = strconv.FormatInt(s.Memory, 10)
	}
	return opt, errors.Join(checkPlatforms(s.Platforms), addNetwork(&opt, s), addSecrets(&opt, s), addCaches(&opt, s))
}

// checkPlatforms accepts the host's only: the store keeps one image by a name, and steps of others would not run.
func checkPlatforms(list []string) error {
	if len(list) > 1 {
		return fault.New(errdefs.ErrNotImplemented, "an image for more than one platform is not served: %s", strings.Join(list, ", "))
	}
	for _, text := range list {
		p, err := platforms.Parse(text)
		if err != nil {
			return fault.Invalid("%q is no platform: %w", text, err)
		}
		if !platforms.Default().Match(p) {
			return fault.New(errdefs.ErrNotImplemented, "an image for %s is not served: this host runs %s", text, platforms.DefaultString())
		}
	}
	return nil
}

// sharedKey tells contexts apart: of the same one only what has changed since is looked at anew.
func sharedKey(context string) string {
	sum := sha256.Sum256([]byte(context))
	return hex.EncodeToString(sum[:8])
}

// addContext adds the context and the Dockerfile.
func addContext(opt *client.SolveOpt, s api.Build, scratch string) error {
	a, name := opt.FrontendAttrs, "Dockerfile"
	if s.Dockerfile != "" {
		name = filepath.Base(s.Dockerfile)
	}
	if api.RemoteContext(s.Context) {
		a["context"] = s.Context
		if s.Dockerfile != "" {
			a["filename"] = s.Dockerfile
		}
		if s.Inline == "" {
			return nil
		}
		a["dockerfilekey"] = "dockerfile"
	} else if err := errors.Join(podcbuild.Check(s), addFolder(opt, "context", s.Context)); err != nil {
		return err
	}
	if s.Inline != "" {
		if err := checkSyntax([]byte(s.Inline)); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(scratch, name), []byte(s.Inline), 0o600); err != nil {
			return err
		}
		a["filename"] = name
		return addFolder(opt, "dockerfile", scratch)
	}
	text, err := podcbuild.ReadDockerfile(s)
	if err == nil {
		err = checkSyntax(text)
	}
	if err != nil {
		return err
	}
	a["filename"] = name
	return addFolder(opt, "dockerfile", filepath.Dir(podcbuild.Dockerfile(s)))
}

// dockerfileFrontend are the images of the frontend that is built in, of whatever version.
var dockerfileFrontend = []string{"docker.io/docker/dockerfile", "docker.io/docker/dockerfile-upstream"}

// checkSyntax refuses a Dockerfile that asks for another frontend than the one that is built in.
func checkSyntax(dockerfile []byte) error {
	ref, _, _, ok := parser.DetectSyntax(dockerfile)
	if !ok {
		return nil
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err == nil && slices.Contains(dockerfileFrontend, named.Name()) {
		return nil
	}
	return fault.New(errdefs.ErrNotImplemented, "the frontend %q that the Dockerfile asks for by its syntax is not served: docker/dockerfile is", ref)
}

func addFolder(opt *client.SolveOpt, key, dir string) error {
	fs, err := fsutil.NewFS(dir)
	if err != nil {
		return fault.New(errdefs.ErrInvalidArgument, "cannot use the build context %s: %w", dir, disk.Pathless(err))
	}
	opt.LocalMounts[key] = fs
	return nil
}

// addNamed adds a further context.
func addNamed(opt *client.SolveOpt, name, source string) error {
	key := "context:" + name
	if api.RemoteContext(source) {
		opt.FrontendAttrs[key] = source
		return nil
	}
	opt.FrontendAttrs[key] = "local:" + name
	return addFolder(opt, name, source)
}

// addNetwork adds the network of steps and what they may do beyond the ordinary.
func addNetwork(opt *client.SolveOpt, s api.Build) error {
	opt.AllowedEntitlements = slices.Clone(s.Entitlements)
	switch s.Network {
	case "", "default":
		return nil
	case "host":
		opt.AllowedEntitlements = append(opt.AllowedEntitlements, string(entitlements.EntitlementNetworkHost))
	case "none":
	default:
		return fault.New(errdefs.ErrNotImplemented, "a build in the network %q is not served: default, host and none are", s.Network)
	}
	opt.FrontendAttrs["force-network-mode"] = s.Network
	return nil
}

func addSecrets(opt *client.SolveOpt, s api.Build) error {
	if len(s.Secrets) > 0 {
		contents := map[string][]byte{}
		for _, secret := range s.Secrets {
			contents[secret.ID] = secret.Content
		}
		opt.Session = append(opt.Session, secretsprovider.FromMap(contents))
	}
	if len(s.SSH) == 0 {
		return nil
	}
	var agents []sshprovider.AgentConfig
	for _, id := range slices.Sorted(maps.Keys(s.SSH)) {
		agents = append(agents, sshprovider.AgentConfig{ID: id, Paths: []string{s.SSH[id]}})
	}
	p, err := sshprovider.NewSSHAgentProvider(agents)
	if err != nil {
		return fault.New(errdefs.ErrInvalidArgument, "cannot use the SSH agent of a build: %w", err)
	}
	opt.Session = append(opt.Session, p)
	return nil
}

// addCaches adds what is read and written of caches elsewhere.
func addCaches(opt *client.SolveOpt, s api.Build) error {
	for _, c := range s.CacheFrom {
		e, err := cacheEntry(c)
		if err != nil {
			return err
		}
		opt.CacheImports = append(opt.CacheImports, e)
	}
	for _, c := range s.CacheTo {
		e, err := cacheEntry(c)
		if err != nil {
			return err
		}
		opt.CacheExports = append(opt.CacheExports, e)
	}
	return nil
}

// cacheEntry reads docker's notation of a cache: a reference, or type=...,key=value,...
func cacheEntry(text string) (client.CacheOptionsEntry, error) {
	e := client.CacheOptionsEntry{Attrs: map[string]string{}}
	if !strings.Contains(text, "=") {
		return client.CacheOptionsEntry{Type: "registry", Attrs: map[string]string{"ref": text}}, nil
	}
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return e, fault.New(errdefs.ErrInvalidArgument, "cannot read the cache %q: %w", text, err)
	}
	for _, f := range fields {
		k, v, ok := strings.Cut(f, "=")
		if !ok {
			return e, fault.New(errdefs.ErrInvalidArgument, "cannot read the cache %q: %q is no key=value", text, f)
		}
		if k = strings.ToLower(k); k == "type" {
			e.Type = v
		} else {
			e.Attrs[k] = v
		}
	}
	if !slices.Contains([]string{"registry", "local", "inline"}, e.Type) {
		return e, fault.New(errdefs.ErrNotImplemented, "a cache of the type %q is not served: registry, local and inline are", e.Type)
	}
	return e, nil
}

func ulimits(all map[string]api.Ulimit) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, (&units.Ulimit{Name: name, Soft: all[name].Soft, Hard: all[name].Hard}).String())
	}
	return list
}

func csvLine(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // a Builder takes all
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// teller passes on what BuildKit tells of a build.
type teller struct {
	id     string
	tell   func(api.Progress)
	names  map[string]string // of vertexes
	steps  map[string]int    // their numbers
	tails  map[string]string // the last that each wrote
	failed string            // the vertex that failed first
}

// tail is how much of what a step wrote is kept for when it fails, in bytes.
const tail = 4 << 10

func (t *teller) hear(s *client.SolveStatus) {
	if t.names == nil {
		t.names, t.tails, t.steps = map[string]string{}, map[string]string{}, map[string]int{}
	}
	for _, v := range s.Vertexes {
		e := api.Progress{ID: v.Digest.String(), ParentID: t.id, Status: "Working", Text: v.Name, Cached: v.Cached}
		t.names[e.ID] = v.Name
		if v.Started == nil && !v.Cached {
			continue
		}
		if v.Completed != nil {
			e.Status = "Done"
		}
		if v.Error != "" {
			e.Status, e.Details = "Error", v.Error
			if t.failed == "" { // the others are given up for it
				t.failed = e.ID
			}
		}
		t.say(e)
	}
	for _, st := range s.Statuses {
		e := api.Progress{ID: st.Vertex.String(), ParentID: t.id, Status: "Working", Text: t.names[st.Vertex.String()], Details: st.ID, Current: st.Current, Total: st.Total}
		t.say(e)
	}
	for _, l := range s.Logs {
		e := api.Progress{ID: l.Vertex.String(), ParentID: t.id, Status: "Working", Text: t.names[l.Vertex.String()], Log: string(l.Data)}
		kept := t.tails[e.ID] + e.Log
		t.tails[e.ID] = kept[max(0, len(kept)-tail):]
		t.say(e)
	}
	for _, w := range s.Warnings {
		t.say(api.Progress{ID: w.Vertex.String(), ParentID: t.id, Status: "Warning", Text: string(w.Short)})
	}
}

func (t *teller) say(e api.Progress) {
	if t.steps[e.ID] == 0 {
		t.steps[e.ID] = len(t.steps) + 1
	}
	e.Step = t.steps[e.ID]
	if t.tell != nil {
		t.tell(e)
	}
}

// explain adds to an error which step failed, and what it wrote last.
func (t *teller) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if cause := errors.Unwrap(errors.Unwrap(err)); cause != nil { // BuildKit's client says around it that it failed
		err = cause
	}
	if t.failed == "" {
		return err
	}
	err = fmt.Errorf("%s: %w", t.names[t.failed], err)
	lines := strings.Split(strings.TrimRight(t.tails[t.failed], "\n"), "\n")
	if lines = lines[max(0, len(lines)-linesKept):]; lines[0] == "" {
		return err
	}
	return fmt.Errorf("%w\n%s", err, strings.Join(lines, "\n"))
}

// linesKept is how many lines of a step that failed are told once more.
const linesKept = 15
