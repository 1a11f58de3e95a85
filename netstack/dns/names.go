package dns

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
	"podc.example/podc/netstack"
)

// names is what the record files say. The kernel queues a note about every change before the change's system call returns;
// the notes are read before each answer, so that an answer is never older than the last Attach or Detach that returned.
type names struct {
	dir string

	mu       sync.Mutex // protects all that follows
	fd       int        // inotify, not blocking; -1 when closed
	networks map[string]*network
	watches  map[int32]string // watch -> network
	turn     map[string]int   // how often a name with several owners was answered
}

// network is the names of one network.
type network struct {
	records map[string]netstack.NameRecord // by file
	byName  map[string]map[string]bool     // name -> files
}

const watchMask = unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_CLOSE_WRITE | unix.IN_ONLYDIR

func openNames(dir string) (*names, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &names{dir: dir, fd: fd, networks: map[string]*network{}, watches: map[int32]string{}, turn: map[string]int{}}, nil
}

func (n *names) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fd >= 0 {
		unix.Close(n.fd)
		n.fd = -1
	}
}

// watch begins to follow a network.
func (n *names) watch(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drain()
	if n.networks[name] != nil {
		return nil
	}
	dir := filepath.Join(n.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	wd, err := unix.InotifyAddWatch(n.fd, dir, watchMask)
	if err != nil {
		return err
	}
	n.watches[int32(wd)] = name
	n.load(name)
	return nil
}

// lookup returns the addresses of those who have a name on a network, for queries of one family only that family's and in
// rotating order. known says that somebody has the name.
func (n *names) lookup(network, name string, qtype uint16) (out []netip.Addr, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drain()
	net := n.networks[network]
	if net == nil {
		return nil, false
	}
	for file := range net.byName[name] {
		r := net.records[file]
		for _, a := range []netip.Addr{r.IPv4, r.IPv6} {
			if known = true; a.IsValid() && (a.Is4() || qtype != dns.TypeA) && (a.Is6() || qtype != dns.TypeAAAA) {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	if inTurn := qtype == dns.TypeA || qtype == dns.TypeAAAA; inTurn && len(out) > 1 {
		key := network + " " + name + " " + strconv.Itoa(int(qtype))
		at := n.turn[key] % len(out)
		n.turn[key]++
		out = slices.Concat(out[at:], out[:at])
	}
	return out, known
}

// reverse returns the first name of the owner of an address on a network, "" if nobody is.
func (n *names) reverse(network string, a netip.Addr) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drain()
	if net := n.networks[network]; net != nil {
		for _, r := range net.records {
			if (r.IPv4 == a || r.IPv6 == a) && len(r.Names) > 0 {
				return r.Names[0]
			}
		}
	}
	return ""
}

// drain applies the notes that the kernel has queued.
func (n *names) drain() {
	var buf [4096]byte
	for n.fd >= 0 {
		got, err := unix.Read(n.fd, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || got <= 0 {
			return
		}
		for b := buf[:got]; len(b) >= unix.SizeofInotifyEvent; {
			length := int(binary.NativeEndian.Uint32(b[12:]))
			end := min(unix.SizeofInotifyEvent+length, len(b))
			file := strings.TrimRight(string(b[unix.SizeofInotifyEvent:end]), "\x00")
			n.note(int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:]), file)
			b = b[end:]
		}
	}
}

// note applies one note.
func (n *names) note(wd int32, mask uint32, file string) {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		for name := range n.networks {
			n.load(name)
		}
		return
	}
	name, ok := n.watches[wd]
	switch {
	case !ok:
	case mask&unix.IN_IGNORED != 0: // the network was removed, with its folder
		delete(n.watches, wd)
		delete(n.networks, name)
	case !strings.HasPrefix(file, "."):
		n.networks[name].read(filepath.Join(n.dir, name), file)
	}
}

// load reads all records of a network anew.
func (n *names) load(name string) {
	net := &network{records: map[string]netstack.NameRecord{}, byName: map[string]map[string]bool{}}
	n.networks[name] = net
	entries, _ := os.ReadDir(filepath.Join(n.dir, name))
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			net.read(filepath.Join(n.dir, name), e.Name())
		}
	}
}

// read takes a record as its file says now; a file that is gone, or damaged, says nothing.
func (net *network) read(dir, file string) {
	for _, name := range net.records[file].Names {
		delete(net.byName[name], file)
		if len(net.byName[name]) == 0 {
			delete(net.byName, name)
		}
	}
	delete(net.records, file)
	var r netstack.NameRecord
	if err := disk.ReadJSON(filepath.Join(dir, file), &r); err != nil || !r.IPv4.IsValid() && !r.IPv6.IsValid() {
		return
	}
	net.records[file] = r
	for _, name := range r.Names {
		if net.byName[name] == nil {
			net.byName[name] = map[string]bool{}
		}
		net.byName[name][file] = true
	}
}
