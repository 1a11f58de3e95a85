package netstack

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// NameRecord says which names one attachment has on one network. It is the file <NamesDir>/<network>/<attachment>.json,
// replaced in one step, so that a resolver holds nothing that it could lose. Names are lower-case; the first is the one that
// a reverse lookup answers.
type NameRecord struct {
	Names []string   `json:"names"`
	IPv4  netip.Addr `json:"ipv4,omitzero"`
	IPv6  netip.Addr `json:"ipv6,omitzero"`
}

// nameFiles are the records of names.
type nameFiles struct{ files }

// write makes the names of a resolvable.
func (nf nameFiles) write(a api.Attachment) error {
	for i, iface := range a.Interfaces {
		names := cleanNames(a.Names, a.Endpoints[i].Aliases)
		if len(names) == 0 || len(iface.Addrs()) == 0 {
			continue
		}
		if err := os.MkdirAll(nf.namesDir(iface.Network), 0o700); err != nil {
			return err
		}
		rec := NameRecord{Names: names, IPv4: iface.IPv4.Addr(), IPv6: iface.IPv6.Addr()}
		if err := disk.WriteJSON(nf.nameFile(iface.Network, a.ID), rec, disk.Volatile); err != nil {
			return err
		}
	}
	return nil
}

// has reports whether the names of an attachment on a network are on record.
func (nf nameFiles) has(network, id string) bool {
	var rec NameRecord
	return disk.ReadJSON(nf.nameFile(network, id), &rec) == nil && len(rec.Names) > 0
}

// remove makes the names of a unresolvable.
func (nf nameFiles) remove(a api.Attachment) error {
	var errs []error
	for _, e := range a.Endpoints {
		errs = append(errs, os.RemoveAll(nf.nameFile(e.Network, a.ID)))
	}
	return errors.Join(errs...)
}

// cleanNames joins lists of names as queries will spell them, without repetition, in order.
func cleanNames(lists ...[]string) []string {
	var out []string
	for _, list := range lists {
		for _, n := range list {
			n = strings.ToLower(strings.TrimSuffix(n, "."))
			if n != "" && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}
