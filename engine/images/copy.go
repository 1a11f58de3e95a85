package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/signature"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage/pkg/configfile"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// stall is how long a transfer may stand still before it is given up.
const stall = 2 * time.Minute

// transfer is one image on its way into the store.
type transfer struct {
	src    types.ImageReference
	srcSys *types.SystemContext
	names  []reference.Named // all of them are given to the image; none: it is known by its ID only
	id     string            // of the event that the events of its blobs belong to
}

// bring copies an image into the store and returns its ID. Names move away from the images that had them before.
func (s *copier) bring(ctx context.Context, t transfer, progress Progress) (string, error) {
	dst, err := s.destination(ctx, t)
	if err != nil {
		return "", err
	}
	var made types.ImageReference
	if _, err := s.copy(ctx, dst, limited{t.src}, copy.Options{SourceCtx: t.srcSys, DestinationCtx: s.sys, ReportResolvedReference: &made}, t.id, progress); err != nil {
		return "", err
	}
	_, img, err := istorage.ResolveReference(made)
	if err != nil {
		return "", fmt.Errorf("it went away at once: %w", err)
	}
	var more []string
	for _, n := range t.names[min(1, len(t.names)):] {
		more = append(more, n.String())
	}
	if len(more) > 0 {
		err = s.store.AddNames(img.ID, more)
	}
	return img.ID, err
}

// copy copies an image as the host's policy allows, and tells of its blobs as of parts of id. It gives up what stands still, and
// returns the manifest.
func (s *copier) copy(ctx context.Context, dst, src types.ImageReference, opt copy.Options, id string, progress Progress) ([]byte, error) {
	policy, err := s.policy()
	if err != nil {
		return nil, err
	}
	defer policy.Destroy()
	ctx, alive, stop := watchdog(ctx, stall)
	defer stop()
	events := make(chan types.ProgressProperties)
	var done sync.WaitGroup
	done.Go(func() {
		for e := range events {
			alive()
			progress.say(blobEvent(id, e))
		}
	})
	opt.Progress, opt.ProgressInterval = events, 200*time.Millisecond
	manifest, err := copy.Image(ctx, policy, dst, src, &opt)
	close(events)
	done.Wait()
	if err != nil {
		return nil, errors.Join(err, ended(ctx))
	}
	return manifest, nil
}

// destination is the place in the store: under its first name, or under its ID.
func (s *copier) destination(ctx context.Context, t transfer) (types.ImageReference, error) {
	if len(t.names) > 0 {
		return istorage.Transport.NewStoreReference(s.store, t.names[0], "")
	}
	img, err := t.src.NewImage(ctx, t.srcSys)
	if err != nil {
		return nil, err
	}
	defer img.Close()
	d := img.ConfigInfo().Digest
	if !validDigest(d) {
		return nil, fault.New(errdefs.ErrInvalidArgument, "its config has no digest")
	}
	return istorage.Transport.NewStoreReference(s.store, nil, d.Encoded())
}

// policy is the host's policy.json, as containers-policy.json(5) finds it. Without one everything is accepted, as docker
// does; one that cannot be read is an error, never a reason to accept.
func (s *copier) policy() (*signature.PolicyContext, error) {
	p, err := signature.DefaultPolicy(s.sys)
	if errors.Is(err, configfile.ErrConfigFileNotFound) || errors.Is(err, fs.ErrNotExist) {
		p, err = &signature.Policy{Default: signature.PolicyRequirements{signature.NewPRInsecureAcceptAnything()}}, nil
	}
	if err != nil {
		return nil, fault.New(errdefs.ErrFailedPrecondition, "cannot read the signature policy: %w", err)
	}
	return signature.NewPolicyContext(p)
}

// watchdog ends the context when alive was not called for d.
func watchdog(parent context.Context, d time.Duration) (ctx context.Context, alive, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	t := time.AfterFunc(d, func() {
		cancel(fault.New(errdefs.ErrUnavailable, "nothing arrived for %s", d))
	})
	return ctx, func() { t.Reset(d) }, func() { t.Stop(); cancel(nil) }
}

func blobEvent(parent string, p types.ProgressProperties) api.Progress {
	e := api.Progress{
		ID: short(p.Artifact.Digest.Encoded()), ParentID: parent, Status: "Working", Text: "Copying",
		Current: int64(p.Offset), Total: max(p.Artifact.Size, 0), Percent: percent(int64(p.Offset), p.Artifact.Size),
	}
	switch p.Event {
	case types.ProgressEventDone:
		e.Status, e.Text, e.Percent = "Done", "Copied", 100
	case types.ProgressEventSkipped:
		e.Status, e.Text, e.Percent = "Done", "Already exists", 100
	}
	return e
}

// Transfers write temporary files. One that was killed leaves them; whoever transfers holds a lock shared, so that who gets
// it alone knows that all of them are left over.

// scratch is where those files lie.
type scratch struct {
	dir     string
	prefix  string // of the folders in which archives are laid out; it has the id of the podc root
	lock    string // held shared by transfers
	private bool   // nobody but podc keeps files in dir
}

// transferring keeps temporary files from being cleared away until release is called; left ones go before.
func (s scratch) transferring(ctx context.Context) (release func(), err error) {
	if err := s.clear(); err != nil {
		return nil, err
	}
	l, err := disk.LockShared(ctx, s.lock, disk.Wait{For: "who clears transfers of images away", Patience: 10 * time.Minute})
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}

// clear removes what killed transfers left, unless one is under way.
func (s scratch) clear() error {
	l, err := disk.TryLock(s.lock)
	if errors.Is(err, disk.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Unlock()
	var errs []error
	for _, path := range s.files() {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// left names what killed transfers left.
func (s scratch) left() []api.Problem {
	l, err := disk.TryLock(s.lock)
	if err != nil {
		return nil // a transfer is under way
	}
	defer l.Unlock()
	var problems []api.Problem
	for _, path := range s.files() {
		problems = append(problems, api.Problem{Kind: "file", Object: path, Detail: "left by a transfer that was killed"})
	}
	return problems
}

// files lists temporary files: in a private store all that is in their folder, else what bears podc's name.
func (s scratch) files() []string {
	pattern := s.prefix + "*"
	if s.private {
		pattern = "*"
	}
	paths, _ := filepath.Glob(filepath.Join(s.dir, pattern))
	return paths
}
