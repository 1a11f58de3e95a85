// Package builder makes images of Dockerfiles: BuildKit as a library, over podc's own executor, network and image store.
//
// BuildKit's databases admit one process. A Builder is that process's; many builds may use it at once.
package builder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/platforms"
	cachemeta "github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/cache/remotecache"
	inlinecache "github.com/moby/buildkit/cache/remotecache/inline"
	localcache "github.com/moby/buildkit/cache/remotecache/local"
	registrycache "github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/entitlements"
	"github.com/moby/buildkit/util/leaseutil"
	bkworker "github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/grpc"

	"podc.example/podc/api"
	"podc.example/podc/engine"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/engine/host"
	"podc.example/podc/engine/images"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/netstack"
)

// Config says where a Builder keeps things and what it runs.
type Config struct {
	Root, RunRoot string // podc's; a builder's own are the folder build in each
	Images        images.Config
	Runtime       string // path of the OCI runtime
	Network       netstack.Host
	// Pull fetches an image into the store, with the environment of whoever builds: it says where credentials and proxies are.
	Pull pullFunc
}

type pullFunc = func(ctx context.Context, ref string, env map[string]string, tell func(api.Progress)) error

// Builder is an open builder.
type Builder struct {
	client  *client.Client
	server  *grpc.Server
	control *control.Controller
	steps   *steps
	worker  *worker
	store   func() (*images.Store, error)
	askers  sync.Map // environments of those who build, by session
	closers []func() error
}

// namespace is that of containerd's databases.
const namespace = "buildkit"

// Open opens the builder of a pair of roots. The caller excludes other processes. What a builder that died has left running is cleared away.
func Open(ctx context.Context, c Config) (b *Builder, err error) {
	b = &Builder{steps: stepsOf(c)}
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot open the builder: %w", errors.Join(err, b.Close(ctx)))
		}
	}()
	data, run := filepath.Join(c.Root, "build"), filepath.Join(c.RunRoot, "build")
	if err := errors.Join(os.MkdirAll(data, 0o700), os.MkdirAll(filepath.Join(run, "steps"), 0o700), Clear(ctx, c), os.MkdirAll(Temporary(c.RunRoot), 0o700)); err != nil {
		return b, err
	}
	b.store = sync.OnceValues(func() (*images.Store, error) { return images.Open(c.Images) })
	if b.worker, err = b.newWorker(ctx, data, c.Pull); err != nil {
		return b, err
	}
	return b, b.serve(ctx, b.worker, data)
}

// stepsOf are the steps of the builder of a pair of roots.
func stepsOf(c Config) *steps {
	data, run := filepath.Join(c.Root, "build"), filepath.Join(c.RunRoot, "build")
	id, this := engine.RootIDOf(data), host.This()
	return &steps{
		dir: filepath.Join(run, "steps"), state: filepath.Join(run, "runtime"), runtime: c.Runtime, host: this,
		cgroups: cgroups.Root{ID: id, Active: filepath.Join(run, "active.lock"), Host: this.Cgroups},
		network: &network{stack: netstack.Open(netstack.Config{RootID: id, Data: data, Run: run, Host: c.Network})},
	}
}

// Temporary is the folder for temporary files of a builder's process, secrets and sockets of agents among them: TMPDIR is to name it.
func Temporary(runRoot string) string { return filepath.Join(runRoot, "build", "tmp") }

// Clear takes away what a builder that died has left: steps that run on, mounts, the network. The caller excludes other processes.
// Idempotent.
func Clear(ctx context.Context, c Config) error {
	s := stepsOf(c)
	errs := []error{s.clear(ctx)}
	mounts, err := rootfs.MountsBelow(filepath.Join(c.Root, "build"), Temporary(c.RunRoot))
	errs = append(errs, err)
	for _, m := range slices.Backward(mounts) {
		errs = append(errs, disk.Unmount(m))
	}
	errs = append(errs, disk.RemoveTree(Temporary(c.RunRoot)))
	return errors.Join(append(errs, s.network.close(ctx), s.cgroups.RemoveIdle(ctx, true))...)
}

// closing notes what Close closes; the last comes first.
func (b *Builder) closing(f func() error) { b.closers = append(b.closers, f) }

// newWorker is what solves builds: BuildKit's snapshots and blobs below data.
func (b *Builder) newWorker(ctx context.Context, data string, pull pullFunc) (*worker, error) {
	const snapshotter = "overlayfs"
	sn, err := overlay.NewSnapshotter(filepath.Join(data, "snapshots"), overlay.AsynchronousRemove)
	if err != nil {
		return nil, err
	}
	b.closing(sn.Close)
	blobs, err := local.NewStore(filepath.Join(data, "content"))
	if err != nil {
		return nil, err
	}
	db, err := boltutil.Open(filepath.Join(data, "containerdmeta.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, err
	}
	b.closing(db.Close)
	mdb := metadata.NewDB(db, blobs, map[string]snapshots.Snapshotter{snapshotter: sn})
	if err := mdb.Init(ctx); err != nil {
		return nil, err
	}
	md, err := cachemeta.NewStore(filepath.Join(data, "metadata.db"))
	if err != nil {
		return nil, err
	}
	b.closing(md.Close)
	id, err := base.ID(data)
	if err != nil {
		return nil, err
	}
	content := containerdsnapshot.NewContentStore(mdb.ContentStore(), namespace)
	reg := &registry{open: b.store, seen: map[digest.Digest]*baseImage{}}
	bw, err := base.NewWorker(ctx, base.WorkerOpt{
		ID: id, Root: data, Labels: map[string]string{}, GCPolicy: policy(data),
		MetadataStore: md, ContentStore: content, MountPoolRoot: filepath.Join(data, "cachemounts"),
		Executor:    b.steps,
		Snapshotter: containerdsnapshot.NewSnapshotter(snapshotter, mdb.Snapshotter(snapshotter), namespace, nil),
		Applier:     apply.NewFileSystemApplier(content), Differ: walking.NewWalkingDiff(content),
		ImageStore: &results{content, b.store}, RegistryHosts: reg.hosts,
		Platforms:    []ocispecs.Platform{platforms.Normalize(platforms.DefaultSpec())},
		LeaseManager: leaseutil.WithNamespace(metadata.NewLeaseManager(mdb), namespace), GarbageCollect: mdb.GarbageCollect,
	})
	if err != nil {
		return nil, err
	}
	source := &imageSource{Source: bw.ImageSource, registry: reg, pull: func(ctx context.Context, ref, session string, tell func(api.Progress)) error {
		env, _ := b.askers.Load(session)
		known, _ := env.(map[string]string)
		return pull(ctx, ref, known, tell)
	}}
	bw.SourceManager.Register(source)
	return &worker{bw, source}, nil
}

// serve makes the solver and a client of it, in this process.
func (b *Builder) serve(ctx context.Context, w *worker, data string) error {
	sessions, err := session.NewManager()
	if err != nil {
		return err
	}
	workers := &bkworker.Controller{}
	if err := workers.Add(w); err != nil {
		return err
	}
	cache, err := bboltcachestorage.NewStore(filepath.Join(data, "cache.db"))
	if err != nil {
		return err
	}
	b.closing(cache.Close)
	history, err := boltutil.SafeOpen(filepath.Join(data, "history.db"), 0o600, &bolt.Options{})
	if err != nil {
		return err
	}
	b.closing(history.Close)
	remotes := docker.ConfigureDefaultRegistries(docker.WithPlainHTTP(docker.MatchLocalhost)) // of caches alone
	b.control, err = control.NewController(control.Opt{
		SessionManager: sessions, WorkerController: workers,
		Frontends:    map[string]frontend.Frontend{"dockerfile.v0": forwarder.NewGatewayForwarder(workers.Infos(), dockerfile.Build)},
		CacheManager: solver.NewCacheManager(ctx, "local", cache, bkworker.NewCacheResultStorage(workers)), CacheStore: cache, HistoryDB: history,
		ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{
			"registry": registrycache.ResolveCacheExporterFunc(sessions, remotes), "local": localcache.ResolveCacheExporterFunc(sessions), "inline": inlinecache.ResolveCacheExporterFunc(),
		},
		ResolveCacheImporterFuncs: map[string]remotecache.ResolveCacheImporterFunc{
			"registry": registrycache.ResolveCacheImporterFunc(sessions, w.ContentStore(), remotes), "local": localcache.ResolveCacheImporterFunc(sessions),
		},
		// Whoever asks for a build says what it may: podc asks nobody else.
		Entitlements: []string{string(entitlements.EntitlementNetworkHost), string(entitlements.EntitlementSecurityInsecure)},
		LeaseManager: w.LeaseManager(), ContentStore: w.ContentStore(), GarbageCollect: w.GarbageCollect,
	})
	if err != nil {
		return err
	}
	b.closing(b.control.Close)
	pipe := newPipe()
	b.server = grpc.NewServer()
	b.control.Register(b.server)
	go b.server.Serve(pipe)
	b.closing(func() error { b.server.Stop(); return nil })
	b.client, err = client.New(ctx, "unix:///podc-build", client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.dial(ctx) }))
	if err == nil {
		b.closing(b.client.Close)
	}
	return err
}

// Close ends all builds and closes the builder.
func (b *Builder) Close(ctx context.Context) error {
	var errs []error
	for i := len(b.closers) - 1; i >= 0; i-- {
		errs = append(errs, b.closers[i]())
	}
	b.closers = nil
	if b.steps != nil {
		errs = append(errs, b.steps.network.close(ctx), b.steps.cgroups.RemoveIdle(ctx, true))
	}
	return errors.Join(errs...)
}
