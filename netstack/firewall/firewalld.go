package firewall

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"podc.example/podc/internal/child"
)

// firewalld rejects whatever is forwarded from an interface that none of its zones lets through: what containers send out. Only it
// changes its table; so it is asked, with its own tool, to take podc's bridges into its zone for all that is trusted, as long as there
// are any. What podc does not want forwarded is still dropped in podc's own table. A reload of firewalld keeps them there; after
// a restart Heal asks again.

const (
	firewalldChain = "filter_FORWARD" // and the beginning of the names of those that it leads to
	firewalldZone  = "trusted"
	// firewalldPatience bounds the wait for firewalld, which takes a second for the simplest of things.
	firewalldPatience = 30 * time.Second
)

var firewalldTable = &nftables.Table{Name: "firewalld", Family: nftables.TableFamilyINet}

// firewalldName is how firewalld is told of a bridge: those that podc named itself are all one name.
func (fw *Firewall) firewalldName(bridge string) string {
	if own := "b" + fw.root; strings.HasPrefix(bridge, own) {
		return own + "+"
	}
	return bridge
}

func (fw *Firewall) firewalldNames(bridges []Bridge) map[string]bool {
	names := map[string]bool{}
	for _, b := range bridges {
		if !b.Borrowed { // the zone of somebody else's is theirs to choose
			names[fw.firewalldName(b.Name)] = true
		}
	}
	return names
}

// passesFirewalld reports whether all bridges there are have been taken in.
func (fw *Firewall) passesFirewalld(c *nftables.Conn) bool {
	trusted, err := trustedByFirewalld(c)
	bridges, failed := fw.bridges()
	if err != nil || failed != nil {
		return false
	}
	for name := range fw.firewalldNames(bridges) {
		if !trusted[name] {
			return false
		}
	}
	return true
}

// syncFirewalld makes bridges, and no other of this root, be trusted by firewalld, if that is on.
func (fw *Firewall) syncFirewalld(c *nftables.Conn, bridges []Bridge) error {
	if !hasChain(c, firewalldTable, firewalldChain) {
		return nil
	}
	trusted, err := trustedByFirewalld(c)
	if err != nil {
		return err
	}
	wanted := fw.firewalldNames(bridges)
	args := []string{"--quiet", "--zone=" + firewalldZone}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if !trusted[name] {
			args = append(args, "--add-interface="+name)
		}
	}
	if own := fw.firewalldName("b" + fw.root); trusted[own] && !wanted[own] {
		args = append(args, "--remove-interface="+own)
	}
	if len(args) == 2 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), firewalldPatience)
	defer cancel()
	if out, err := child.Command(ctx, "firewall-cmd", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot have firewalld let through what containers send (firewall-cmd %s): %w: %s", strings.Join(args[1:], " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// trustedByFirewalld lists the interfaces in firewalld's zone for what is trusted, as firewalld writes them: a "+" at the end stands for
// any end.
func trustedByFirewalld(c *nftables.Conn) (map[string]bool, error) {
	chains, err := c.ListChainsOfTableFamily(firewalldTable.Family)
	if err != nil {
		return nil, fmt.Errorf("cannot list nftables chains: %w", err)
	}
	trusted := map[string]bool{}
	for _, ch := range chains {
		if ch.Table.Name != firewalldTable.Name || !strings.HasPrefix(ch.Name, firewalldChain) {
			continue
		}
		rules, err := c.GetRules(firewalldTable, ch)
		if err != nil {
			return nil, fmt.Errorf("cannot read the rules of firewalld: %w", err)
		}
		for _, r := range rules {
			name, zone := "", ""
			for _, e := range r.Exprs {
				switch e := e.(type) {
				case *expr.Cmp:
					name = string(e.Data)
				case *expr.Verdict:
					zone = e.Chain
				}
			}
			if !strings.HasSuffix(zone, "_"+firewalldZone) {
				continue
			}
			if exact, _, ok := strings.Cut(name, "\x00"); ok {
				trusted[exact] = true
			} else {
				trusted[name+"+"] = true
			}
		}
	}
	return trusted, nil
}
