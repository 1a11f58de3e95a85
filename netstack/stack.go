package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/nftables"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// Config says where a Stack keeps its files and what it may hand out. RootID, Data and Run are required.
type Config struct {
	// RootID sets one root apart from others on the same kernel: every host-global name carries it. Eight hex digits.
	RootID string
	// Data is the data root: networks/<net>.conflist live there and survive a reboot.
	Data string
	// Run is the run root: everything about attachments lives in its folder net and is forgotten at a reboot.
	Run string
	// PluginDirs are searched for CNI plugins that are executed. Empty: /opt/cni/bin, /usr/lib/cni, /usr/libexec/cni.
	PluginDirs []string
	// ConfDirs are searched for networks made by hand, which may be used but never changed. Empty: /etc/cni/net.d.
	ConfDirs []string
	// ForceExec executes the real plugins for podc's own networks too: to compare the two paths.
	ForceExec bool
	// Pools are the ranges from which subnets are chosen, in this order. Empty: DefaultPools.
	Pools []Pool
}

// Pool is a range that is cut into subnets of Bits prefix length.
type Pool struct {
	Base netip.Prefix
	Bits int
}

// DefaultPools gives every network about as many addresses as a bridge has ports (1022 and 1023).
var DefaultPools = []Pool{
	{netip.MustParsePrefix("172.28.0.0/14"), 22},
	{netip.MustParsePrefix("10.208.0.0/12"), 22},
	{netip.MustParsePrefix("192.168.192.0/18"), 24},
}

// lockDeadline bounds the wait for the net lock. It is held for a few milliseconds at a time, so whoever waits this long
// waits for a stopped process.
const lockDeadline = 30 * time.Second

// Stack is the network of one root. Its methods may be called from several goroutines and several processes at once.
type Stack struct {
	cfg  Config
	sem  chan struct{}  // holds the one token of this process for the net lock
	conn *nftables.Conn // to nftables; used under the net lock only, see nft
	gone linkRemover
	once sync.Mutex // protects fresh
	// fresh is set when this process has seen that the run folder belongs to this boot.
	fresh bool
}

// Open returns the network of a root. It reads and makes nothing yet.
func Open(cfg Config) *Stack {
	if len(cfg.PluginDirs) == 0 {
		cfg.PluginDirs = []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"}
	}
	if len(cfg.ConfDirs) == 0 {
		cfg.ConfDirs = []string{"/etc/cni/net.d"}
	}
	if len(cfg.Pools) == 0 {
		cfg.Pools = DefaultPools
	}
	return &Stack{cfg: cfg, sem: make(chan struct{}, 1)}
}

// The files of a Stack, all named here.

func (s *Stack) netDir() string { return filepath.Join(s.cfg.Run, "net") }
func (s *Stack) runPath(elem ...string) string {
	return filepath.Join(append([]string{s.netDir()}, elem...)...)
}
func (s *Stack) networksDir() string { return filepath.Join(s.cfg.Data, "networks") }
func (s *Stack) conflistPath(network string) string {
	return filepath.Join(s.networksDir(), network+".conflist")
}
func (s *Stack) attachmentsDir() string         { return s.runPath("attachments") }
func (s *Stack) recordPath(id string) string    { return s.runPath("attachments", id+".json") }
func (s *Stack) leaseDir(network string) string { return s.runPath("leases", network) }
func (s *Stack) cniCacheDir() string            { return s.runPath("cni") }

// NamesDir is the folder that holds one folder of name records per network; see NameRecord.
func (s *Stack) NamesDir() string { return s.runPath("names") }

// lock takes the net lock: one token inside this process, then a flock against the others. The order of podc's locks is
// project, pod, network; nothing is locked under this one but the leases of a network.
func (s *Stack) lock(ctx context.Context) (unlock func(), err error) { return s.lockFor(ctx, false) }

// lockToUndo is lock for what only looks or removes: on a disk too full for the lock to be made it is without one.
func (s *Stack) lockToUndo(ctx context.Context) (unlock func(), err error) {
	return s.lockFor(ctx, true)
}

func (s *Stack) lockFor(ctx context.Context, undo bool) (unlock func(), err error) {
	ctx, cancel := disk.WithDeadline(ctx, lockDeadline, "the network lock")
	defer cancel()
	select {
	case s.sem <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	l, err := disk.LockWait(ctx, s.runPath("lock"), disk.Wait{For: "the network", Patience: lockDeadline})
	if err == nil {
		if err = s.forgetOldBoot(); err != nil {
			l.Unlock()
		}
	}
	if err != nil && !(undo && disk.IsFull(err)) {
		<-s.sem
		return nil, fmt.Errorf("cannot lock the network: %w", err)
	}
	return func() { l.Unlock(); <-s.sem }, nil
}

// forgetOldBoot removes what an earlier boot left in the run folder, where that is kept on a disk: the links, namespaces
// and rules it speaks of are gone, and its leases would hold addresses for ever. It is called with the net lock held.
func (s *Stack) forgetOldBoot() error {
	if s.thisBoot() {
		return nil
	}
	for _, dir := range []string{"attachments", "leases", "names", "cni"} {
		if err := os.RemoveAll(s.runPath(dir)); err != nil {
			return err
		}
	}
	for _, dir := range []string{"attachments", "leases", "names"} {
		if err := os.MkdirAll(s.runPath(dir), 0o700); err != nil {
			return err
		}
	}
	// A link holds the id in its inode: there is room for it on a full disk, of which removals must be able to make sure too.
	tmp := s.runPath(".tmp-boot_id")
	if err := errors.Join(removeFile(tmp), os.Symlink(kernel.BootID(), tmp)); err != nil {
		return err
	}
	return os.Rename(tmp, s.runPath("boot_id"))
}

// thisBoot reports whether the run folder belongs to the running kernel.
func (s *Stack) thisBoot() bool {
	s.once.Lock()
	defer s.once.Unlock()
	if !s.fresh {
		was, err := os.Readlink(s.runPath("boot_id"))
		s.fresh = err == nil && was == kernel.BootID()
	}
	return s.fresh
}

// listDir returns the names in dir that do not begin with a dot (files being written do); a missing folder is empty.
func listDir(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := f.Readdirnames(-1)
	names := all[:0]
	for _, n := range all {
		if !strings.HasPrefix(n, ".") {
			names = append(names, n)
		}
	}
	return names, err
}

// removeFile removes a file; a missing one is no error.
func removeFile(path string) error {
	if err := os.RemoveAll(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
