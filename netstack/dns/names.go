package dns

import (
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
	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack"
)

// names is what the record files say. The kernel queues a note about every change before the change's system call returns;
// the notes are read before each answer, so that an answer is never older than the last Attach or Detach that returned.
type names struct {
	dir     string
	changes *kernel.Inotify // drained under mu

	mu       sync.Mutex // protects all that follows
	networks map[string]*network
	turn     map[string]int // how often a name with several owners was answered
}

// network is the names of one network.
type network struct {
	records map[string]netstack.NameRecord // by file
	byName  map[string]map[string]bool     // name -> files
}

const watchMask = unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_CLOSE_WRITE | unix.IN_ONLYDIR

func openNames(dir string) (n *names, err error) {
	n = &names{dir: dir, networks: map[string]*network{}, turn: map[string]int{}}
	n.changes, err = kernel.OpenInotify(func() {
		for name := range n.networks {
			n.load(name)
		}
	})
	return n, err
}

func (n *names) close() { n.changes.Close() }

// watch begins to follow a network.
func (n *names) watch(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changes.Drain()
	if n.networks[name] != nil {
		return nil
	}
	dir := filepath.Join(n.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := n.changes.Add(dir, watchMask, func(mask uint32, file string) { n.note(name, mask, file) }); err != nil {
		return err
	}
	n.load(name)
	return nil
}

// lookup returns the addresses of those who have a name on a network, for queries of one family only that family's and in
// rotating order. known says that somebody has the name.
func (n *names) lookup(network, name string, qtype uint16) (out []netip.Addr, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changes.Drain()
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
	n.changes.Drain()
	if net := n.networks[network]; net != nil {
		for _, r := range net.records {
			if (r.IPv4 == a || r.IPv6 == a) && len(r.Names) > 0 {
				return r.Names[0]
			}
		}
	}
	return ""
}

// note applies what the kernel says of a file of a network.
func (n *names) note(name string, mask uint32, file string) {
	switch net := n.networks[name]; {
	case net == nil:
	case mask&unix.IN_IGNORED != 0: // the network was removed, with its folder
		delete(n.networks, name)
	case !strings.HasPrefix(file, "."):
		net.read(filepath.Join(n.dir, name), file)
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
