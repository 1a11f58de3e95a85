package volumes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// A volume with options is a mount: of a device, a folder of the host, a tmpfs, another machine's export. It is mounted on its
// folder while a pod runs that uses it.

// optionNames are what the driver local takes, as docker's: what is mounted, its kind, and how.
func optionNames() []string { return []string{"device", "o", "type"} }

// CheckOption refuses an option that the driver local does not have.
func CheckOption(name string) error {
	if !slices.Contains(optionNames(), name) {
		return fault.New(errdefs.ErrInvalidArgument, "the driver local has no option %q (only %s)", name, strings.Join(optionNames(), ", "))
	}
	return nil
}

// CheckOptions refuses options of which no mount can be made.
func CheckOptions(o map[string]string) error {
	for name := range o {
		if err := CheckOption(name); err != nil {
			return err
		}
	}
	if len(o) == 0 {
		return nil
	}
	m := parseMount(o)
	switch {
	case o["device"] == "" || o["type"] == "":
		return fault.New(errdefs.ErrInvalidArgument, "the options of a volume need both device and type")
	case m.flags&unix.MS_BIND != 0 && !filepath.IsAbs(o["device"]):
		return fault.New(errdefs.ErrInvalidArgument, "the device %q of a bind is not an absolute path", o["device"])
	case m.flags&unix.MS_REMOUNT != 0:
		return fault.New(errdefs.ErrInvalidArgument, "a volume cannot be remounted")
	}
	return nil
}

// CheckSource refuses a volume whose folder on the host does not exist.
func CheckSource(v api.Volume) error {
	if parseMount(v.Options).flags&unix.MS_BIND == 0 {
		return nil
	}
	if _, err := os.Stat(v.Options["device"]); err != nil {
		return fmt.Errorf("cannot use %s for volume %q: %w", v.Options["device"], v.Name, err)
	}
	return nil
}

// mountCall is what mount(2) is told.
type mountCall struct {
	device, kind, data string
	flags, propagation uintptr
}

// passing reports whether the volume is empty whenever it is mounted anew, or cannot be written: there is no use in filling it.
func passing(v api.Volume) bool {
	m := parseMount(v.Options)
	return m.kind == "tmpfs" && m.flags&unix.MS_BIND == 0 || m.flags&unix.MS_RDONLY != 0
}

// Flags are those of the volume's options that every mount of it must repeat: a bind of a bind has flags of its own.
func Flags(v api.Volume) []string {
	m := parseMount(v.Options)
	var flags []string
	for _, f := range []struct {
		name string
		bit  uintptr
	}{{"ro", unix.MS_RDONLY}, {"nosuid", unix.MS_NOSUID}, {"nodev", unix.MS_NODEV}, {"noexec", unix.MS_NOEXEC}, {"noatime", unix.MS_NOATIME}} {
		if m.flags&f.bit != 0 {
			flags = append(flags, f.name)
		}
	}
	return flags
}

// flag sets or clears bits of the flags.
type flag struct {
	bits  uintptr
	clear bool
}

func mountFlags() map[string]flag {
	return map[string]flag{
		"defaults": {}, "rw": {unix.MS_RDONLY, true}, "ro": {unix.MS_RDONLY, false},
		"suid": {unix.MS_NOSUID, true}, "nosuid": {unix.MS_NOSUID, false}, "dev": {unix.MS_NODEV, true}, "nodev": {unix.MS_NODEV, false},
		"exec": {unix.MS_NOEXEC, true}, "noexec": {unix.MS_NOEXEC, false}, "async": {unix.MS_SYNCHRONOUS, true}, "sync": {unix.MS_SYNCHRONOUS, false},
		"dirsync": {unix.MS_DIRSYNC, false}, "remount": {unix.MS_REMOUNT, false}, "nomand": {unix.MS_MANDLOCK, true}, "mand": {unix.MS_MANDLOCK, false},
		"atime": {unix.MS_NOATIME, true}, "noatime": {unix.MS_NOATIME, false}, "diratime": {unix.MS_NODIRATIME, true}, "nodiratime": {unix.MS_NODIRATIME, false},
		"relatime": {unix.MS_RELATIME, false}, "norelatime": {unix.MS_RELATIME, true},
		"strictatime": {unix.MS_STRICTATIME, false}, "nostrictatime": {unix.MS_STRICTATIME, true},
		"bind": {unix.MS_BIND, false}, "rbind": {unix.MS_BIND | unix.MS_REC, false},
	}
}

func propagations() map[string]uintptr {
	return map[string]uintptr{
		"private": unix.MS_PRIVATE, "rprivate": unix.MS_PRIVATE | unix.MS_REC, "shared": unix.MS_SHARED, "rshared": unix.MS_SHARED | unix.MS_REC,
		"slave": unix.MS_SLAVE, "rslave": unix.MS_SLAVE | unix.MS_REC, "unbindable": unix.MS_UNBINDABLE, "runbindable": unix.MS_UNBINDABLE | unix.MS_REC,
	}
}

// parseMount reads options as mount(8) does: those that are no flags are the file system's own.
func parseMount(o map[string]string) mountCall {
	m := mountCall{device: o["device"], kind: o["type"]}
	flags, ways := mountFlags(), propagations()
	var data []string
	for word := range strings.SplitSeq(o["o"], ",") {
		f, isFlag := flags[word]
		way, isWay := ways[word]
		switch {
		case word == "":
		case isFlag && f.clear:
			m.flags &^= f.bits
		case isFlag:
			m.flags |= f.bits
		case isWay:
			m.propagation |= way
		default:
			data = append(data, word)
		}
	}
	m.data = strings.Join(data, ",")
	return m
}

// mountDeadline bounds the look-up of a server's name.
const mountDeadline = 30 * time.Second

// resolve puts an address in the place of a server's name: the kernel knows no names.
func (m *mountCall) resolve(ctx context.Context) error {
	if !strings.HasPrefix(m.kind, "nfs") && m.kind != "cifs" {
		return nil
	}
	words := strings.Split(m.data, ",")
	for i, word := range words {
		host, ok := strings.CutPrefix(word, "addr=")
		if !ok || net.ParseIP(host) != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, mountDeadline)
		defer cancel()
		found, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return err
		}
		words[i] = "addr=" + found[0]
	}
	m.data = strings.Join(words, ",")
	return nil
}

func (m mountCall) do(target string) error {
	if err := unix.Mount(m.device, target, m.kind, m.flags, m.data); err != nil {
		return err
	}
	// A bind takes on other flags only by a second call, and propagation is one of its own.
	if also := m.flags &^ (unix.MS_BIND | unix.MS_REC); m.flags&unix.MS_BIND != 0 && also != 0 {
		if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|also, ""); err != nil {
			return errors.Join(err, disk.Unmount(target))
		}
	}
	if m.propagation != 0 {
		if err := unix.Mount("", target, "", m.propagation, ""); err != nil {
			return errors.Join(err, disk.Unmount(target))
		}
	}
	return nil
}

// Mount mounts a volume that has options, unless it is mounted already. Others are left as they are. Idempotent.
func (s *Store) Mount(ctx context.Context, name string) error {
	if v, err := s.Get(name); err != nil || len(v.Options) == 0 {
		return err
	}
	l, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	v, err := s.Get(name)
	if err != nil || disk.IsMountPoint(s.Path(name)) {
		return err
	}
	m := parseMount(v.Options)
	if err = m.resolve(ctx); err == nil {
		err = m.do(s.Path(name))
	}
	if err != nil {
		return fmt.Errorf("cannot mount volume %q (%s %s): %w", name, m.kind, m.device, err)
	}
	return nil
}

// Release unmounts a volume unless it is busy, which is asked under the volume's lock. Idempotent; a volume that is gone is fine.
func (s *Store) Release(ctx context.Context, name string, busy func() bool) error {
	if !disk.IsMountPoint(s.Path(name)) {
		return nil
	}
	l, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if busy() {
		return nil
	}
	return disk.Unmount(s.Path(name))
}

// Mounted lists the volumes that are mounted.
func (s *Store) Mounted() []string {
	entries, _ := os.ReadDir(s.dir)
	var names []string
	for _, e := range entries {
		if disk.IsName(e.Name()) && disk.IsMountPoint(s.Path(e.Name())) {
			names = append(names, e.Name())
		}
	}
	return names
}

// clear removes the folder of a volume. What is mounted there is somebody else's: it is let go of, not deleted.
func (s *Store) clear(name string) error {
	if err := disk.Unmount(s.Path(name)); err != nil {
		return err
	}
	if disk.IsMountPoint(s.Path(name)) {
		return fault.New(errdefs.ErrFailedPrecondition, "%s is still mounted", s.Path(name))
	}
	if err := disk.RemoveTree(s.Path(name)); err != nil { // before the mark by which a removal that is cut short is known
		return err
	}
	return disk.RemoveTree(filepath.Join(s.dir, name))
}
