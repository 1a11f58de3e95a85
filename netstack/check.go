package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack/lease"
)

// finding is a problem and its remedy, nil where only the owner of the attachment can help.
type finding struct {
	api.Problem
	fix    func(context.Context) error
	locked bool // the remedy is sure to be right only while the net lock is held since the finding
}

// findings are what a look has found.
type findings []finding

// add notes a problem whose remedy, if there is one, is right at any time, and takes the net lock itself.
func (f *findings) add(kind, object, detail string, fix func(context.Context) error) {
	*f = append(*f, finding{api.Problem{Kind: kind, Object: object, Detail: detail}, fix, false})
}

// addLocked notes a problem whose remedy, if there is one, is right only while the net lock is held.
func (f *findings) addLocked(kind, object, detail string, fix func(context.Context) error) {
	*f = append(*f, finding{api.Problem{Kind: kind, Object: object, Detail: detail}, fix, fix != nil})
}

// Check lists every broken invariant of this root's network: attachments that nobody wants (alive is asked for each id; nil
// means all are wanted), links, leases, names, cached results and rules without an attachment or network, and the reverse.
// It changes nothing. It is exact while attachments come and go. alive is called without a lock held.
func (s *Stack) Check(ctx context.Context, alive func(id string) bool) ([]api.Problem, error) {
	found, err := s.look(ctx, alive, false)
	out := make([]api.Problem, len(found))
	for i, f := range found {
		out[i] = f.Problem
	}
	return out, err
}

// GC repairs what Check finds, as far as that can be done from here: it detaches what is not alive, removes what belongs to
// nobody, and makes what is missing of networks, rules, leases and names.
func (s *Stack) GC(ctx context.Context, alive func(id string) bool) error {
	found, err := s.look(ctx, alive, true)
	errs := []error{err}
	for _, f := range found {
		if f.fix != nil && !f.locked {
			errs = append(errs, f.fix(ctx))
		}
	}
	return errors.Join(errs...)
}

// look holds the net lock. So no record can appear while it looks, and none can begin to go: whatever is made has
// a record before, and a record says that it is about to go before anything of it does. repair applies those remedies at once
// that need the lock.
func (s *Stack) look(ctx context.Context, alive func(id string) bool, repair bool) (findings, error) {
	dead, err := s.dead(alive)
	if err != nil {
		return nil, err
	}
	unlock, err := s.lockToUndo(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	recs, err := s.records.all()
	if err != nil {
		return nil, err
	}
	things, err := s.survey(ctx)
	if err != nil {
		return nil, err
	}
	networks, err := s.Networks()
	if err != nil {
		return nil, err
	}
	var found findings
	s.damaged(&found, dead)
	known := map[string]record{}
	for _, r := range recs {
		known[r.ID] = r
		if dead[r.ID] {
			found.add("record", r.ID, fmt.Sprintf("attachment of %q, which is not alive", r.Owner), func(ctx context.Context) error { return s.Detach(ctx, r.ID) })
		} else if r.Done && !r.Going {
			s.missing(&found, r, things)
		}
	}
	s.orphans(&found, things, known, networks)
	leftovers(&found, things, known, dead)
	detail, err := s.firewall.Fault(bridgesOf(networks)) // bridges and rules change together under the net lock
	if detail != "" {
		found.add("rule", "nftables table "+s.firewall.Name(), detail, s.Rebuild)
	}
	errs := []error{err}
	for _, f := range found {
		if repair && f.locked {
			errs = append(errs, f.fix(ctx))
		}
	}
	return found, errors.Join(errs...)
}

// dead lists the attachments that nobody wants any more.
func (s *Stack) dead(alive func(id string) bool) (map[string]bool, error) {
	dead := map[string]bool{}
	recs, err := s.records.all()
	for _, r := range recs {
		dead[r.ID] = alive != nil && !alive(r.ID)
	}
	for _, id := range s.records.damaged() {
		dead[id] = alive != nil && !alive(id)
	}
	return dead, err
}

// things is what exists on the host and in the run folder.
type things struct {
	links  map[string]netlink.Link                // of the host, by name
	leases map[string]map[netip.Addr]lease.Holder // by network
	names  map[string][]string                    // ids by network
	cached []string
	temps  map[string]string // files that were being written when somebody died: path -> attachment, "" for a network's
}

func (s *Stack) survey(ctx context.Context) (things, error) {
	t := things{links: map[string]netlink.Link{}, leases: map[string]map[netip.Addr]lease.Holder{}, names: map[string][]string{}}
	links, err := dump(netlink.LinkList)
	if err != nil {
		return t, fmt.Errorf("cannot list interfaces: %w", err)
	}
	for _, l := range links {
		t.links[l.Attrs().Name] = l
	}
	if !s.thisBoot() {
		return t, nil
	}
	nets, err := listDir(s.leasesDir(), "")
	if err != nil {
		return t, err
	}
	for _, n := range nets {
		if t.leases[n], err = s.leases(n).List(ctx); err != nil {
			return t, err
		}
	}
	if nets, err = listDir(s.NamesDir(), ""); err != nil {
		return t, err
	}
	for _, n := range nets {
		if t.names[n], err = listDir(s.namesDir(n), ""); err != nil {
			return t, err
		}
	}
	t.temps = s.temps(nets)
	t.cached, err = listDir(filepath.Join(s.cniCacheDir(), "results"), "")
	return t, err
}

// damaged finds state files that do not decode.
func (s *Stack) damaged(found *findings, dead map[string]bool) {
	for _, id := range s.records.damaged() { // what it is of may run: its owner detaches it, or attaches it anew
		_, err := s.records.load(id)
		var fix func(context.Context) error
		if dead[id] {
			fix = func(ctx context.Context) error { return s.detachDamaged(ctx, id) }
		}
		found.add("record", id, fmt.Sprint(err), fix)
	}
	for _, name := range s.conflists.damaged() {
		_, err := readNetwork(s.conflistPath(name))
		found.add("network", name, fmt.Sprintf("%v; the up of its project makes it anew, and so do network rm and network create", err), nil)
	}
	if _, err := s.conflists.handMadeLists(); err != nil {
		found.add("networks", "made by hand", err.Error(), nil)
	}
}

// detachDamaged undoes an attachment of which nothing but the id is known.
func (s *Stack) detachDamaged(ctx context.Context, id string) error {
	var errs []error
	t, err := s.survey(ctx)
	if err != nil {
		return err
	}
	for network := range t.names {
		errs = append(errs, os.RemoveAll(s.nameFile(network, id)))
	}
	for network, leases := range t.leases {
		for a, h := range leases {
			if h.ID == id {
				errs = append(errs, s.links.removeVeth(id, h.Interface, true),
					s.leases(network).Release(ctx, []netip.Addr{a}, h), s.plugins.dropCached(network, id, h.Interface))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.RemoveAll(s.recordPath(id)); err != nil {
		return err
	}
	return s.Rebuild(ctx)
}

// missing finds what an attachment should have and has not.
func (s *Stack) missing(found *findings, r record, t things) {
	if ns, err := kernel.NetNSAt(r.NetNS); err != nil || ns != r.NS {
		found.addLocked("netns", r.NetNS, fmt.Sprintf("the namespace of %q is gone", r.Owner), nil)
	}
	for i, iface := range r.Interfaces {
		if iface.HostIf != "" && t.links[iface.HostIf] == nil {
			found.addLocked("link", iface.HostIf, fmt.Sprintf("interface of %q on network %q is gone", r.Owner, iface.Network), nil)
		}
		leases := s.leases(iface.Network)
		if _, mine := t.leases[iface.Network]; !mine || len(iface.Addrs()) == 0 {
			continue
		}
		for _, a := range iface.Addrs() {
			if h, err := leases.Holder(a); err != nil || h != (lease.Holder{ID: r.ID, Interface: iface.Name}) {
				found.addLocked("lease", a.String(), fmt.Sprintf("address of %q on network %q is not leased to it", r.Owner, iface.Network),
					func(ctx context.Context) error {
						return errors.Join(leases.DropDamaged(ctx, a), leases.Give(a, lease.Holder{ID: r.ID, Interface: iface.Name}))
					})
			}
		}
		if len(cleanNames(r.Names, r.Endpoints[i].Aliases)) > 0 && !s.names.has(iface.Network, r.ID) {
			found.addLocked("names", r.ID, fmt.Sprintf("names of %q on network %q are not served", r.Owner, iface.Network),
				func(context.Context) error { return s.names.write(r.Attachment) })
		}
	}
}

// orphans finds what belongs to no attachment or network.
func (s *Stack) orphans(found *findings, t things, known map[string]record, networks map[string]api.Network) {
	ids, names := s.records.damaged(), s.conflists.damaged()
	for _, id := range ids {
		known[id] = record{Attachment: api.Attachment{ID: id}}
	}
	ofDamaged := func(l netlink.Link) bool {
		alias := l.Attrs().Alias
		return slices.ContainsFunc(ids, func(id string) bool { return strings.HasSuffix(alias, " of "+id) }) ||
			slices.ContainsFunc(names, func(name string) bool { return alias == s.links.bridgeMark(api.Network{Name: name}) })
	}
	links, cached, bridges := s.expected(known, networks)
	for name, l := range t.links {
		if s.links.marked(l) && !links[name] && !bridges[name] && !ofDamaged(l) {
			found.addLocked("link", name, "belongs to no attachment or network", func(context.Context) error { return s.links.gone.remove(l) })
		}
	}
	for _, n := range networks {
		if n.Bridge != "" && t.links[n.Bridge] == nil {
			fix := s.Rebuild
			if n.Lent != nil {
				fix = nil // who made it must make it again
			}
			found.add("link", n.Bridge, fmt.Sprintf("bridge of network %q is missing", n.Name), fix)
		}
	}
	for network, leases := range t.leases {
		folder := s.leases(network)
		for a, h := range leases {
			if _, ok := known[h.ID]; !ok {
				detail := fmt.Sprintf("of network %q, held by unknown %s", network, h.ID)
				fix := func(ctx context.Context) error { return folder.Release(ctx, []netip.Addr{a}, h) }
				if h == (lease.Holder{}) {
					detail = fmt.Sprintf("of network %q, damaged", network)
					fix = func(ctx context.Context) error { return folder.DropDamaged(ctx, a) }
				}
				found.addLocked("lease", a.String(), detail, fix)
			}
		}
	}
	for network, files := range t.names {
		for _, f := range files {
			if _, ok := known[strings.TrimSuffix(f, ".json")]; !ok {
				path := filepath.Join(s.namesDir(network), f)
				found.addLocked("names", f, fmt.Sprintf("on network %q, of no attachment", network), func(context.Context) error { return os.RemoveAll(path) })
			}
		}
	}
	for _, f := range t.cached {
		if !cached[f] && !slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(f, id) }) {
			path := filepath.Join(s.cniCacheDir(), "results", f)
			found.addLocked("file", path, "cached result of no attachment", func(context.Context) error { return os.RemoveAll(path) })
		}
	}
}

// leftovers finds temporary files whose writer is dead: a live one has a record, or holds the net lock.
func leftovers(found *findings, t things, known map[string]record, dead map[string]bool) {
	for path, id := range t.temps {
		if _, ok := known[id]; !ok || dead[id] {
			found.addLocked("file", path, "half-written, its writer is gone", func(context.Context) error { return os.RemoveAll(path) })
		}
	}
}

// expected lists the names that attachments and networks account for.
func (s *Stack) expected(known map[string]record, networks map[string]api.Network) (links, cached, bridges map[string]bool) {
	links, cached, bridges = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, r := range known {
		for i, e := range r.Endpoints {
			links[s.links.vethName(r.ID, r.ifName(i))] = true
			cached[filepath.Base(s.cachedResult(e.Network, r.ID, r.ifName(i)))] = true
		}
	}
	for _, n := range networks {
		bridges[n.Bridge] = true
	}
	return links, cached, bridges
}

func (pl *plugins) dropCached(network, id, ifname string) error {
	return os.RemoveAll(pl.cachedResult(network, id, ifname))
}
