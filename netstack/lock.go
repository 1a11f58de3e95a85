package netstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// lockDeadline bounds the wait for the net lock. It is held for a few milliseconds at a time, so whoever waits this long
// waits for a stopped process.
const lockDeadline = 30 * time.Second

// netLock is the lock over all that is on record of a root's network, and sees to it that what is in the run folder is of
// this boot.
type netLock struct {
	files
	sem  chan struct{} // holds the one token of this process for the net lock
	once sync.Mutex    // protects fresh
	// fresh is set when this process has seen that the run folder belongs to this boot.
	fresh bool
}

// lock takes the net lock: one token inside this process, then a flock against the others. The order of podc's locks is
// project, pod, network; nothing is locked under this one but the leases of a network.
func (k *netLock) lock(ctx context.Context) (unlock func(), err error) { return k.lockFor(ctx, false) }

// lockToUndo is lock for what only looks or removes: on a disk too full for the lock to be made it is without one.
func (k *netLock) lockToUndo(ctx context.Context) (unlock func(), err error) {
	return k.lockFor(ctx, true)
}

func (k *netLock) lockFor(ctx context.Context, undo bool) (unlock func(), err error) {
	ctx, cancel := disk.WithDeadline(ctx, lockDeadline, "the network lock")
	defer cancel()
	select {
	case k.sem <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	l, err := disk.LockWait(ctx, k.runPath("lock"), disk.Wait{For: "the network", Patience: lockDeadline})
	if err == nil {
		if err = k.forgetOldBoot(); err != nil {
			l.Unlock()
		}
	}
	if err != nil && !(undo && disk.IsFull(err)) {
		<-k.sem
		return nil, fmt.Errorf("cannot lock the network: %w", err)
	}
	return func() { l.Unlock(); <-k.sem }, nil
}

// forgetOldBoot removes what an earlier boot left in the run folder, where that is kept on a disk: the links, namespaces
// and rules it speaks of are gone, and its leases would hold addresses for ever. It is called with the net lock held.
func (k *netLock) forgetOldBoot() error {
	if k.thisBoot() {
		return nil
	}
	for _, dir := range []string{"attachments", "leases", "names", "cni"} {
		if err := os.RemoveAll(k.runPath(dir)); err != nil {
			return err
		}
	}
	for _, dir := range []string{"attachments", "leases", "names"} {
		if err := os.MkdirAll(k.runPath(dir), 0o700); err != nil {
			return err
		}
	}
	// A link holds the id in its inode: there is room for it on a full disk, of which removals must be able to make sure too.
	tmp := k.runPath(".tmp-boot_id")
	if err := errors.Join(os.RemoveAll(tmp), os.Symlink(kernel.BootID(), tmp)); err != nil {
		return err
	}
	return os.Rename(tmp, k.runPath("boot_id"))
}

// thisBoot reports whether the run folder belongs to the running kernel.
func (k *netLock) thisBoot() bool {
	k.once.Lock()
	defer k.once.Unlock()
	if !k.fresh {
		was, err := os.Readlink(k.runPath("boot_id"))
		k.fresh = err == nil && was == kernel.BootID()
	}
	return k.fresh
}

// lockHostNet serialises what must be chosen clear of everything else in this network namespace, by whichever root: it is
// a flock on the namespace itself, so it leaves no file and its scope is exactly the thing that is shared.
func lockHostNet(ctx context.Context) (unlock func(), err error) {
	f, err := kernel.OwnNetNS()
	if err != nil {
		return nil, err
	}
	l, err := disk.LockFile(ctx, f, disk.Wait{For: "the choice of a subnet on this host", Patience: lockDeadline})
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}
