package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// A drop in somebody else's forward chain beats an accept in podc's. Docker provides a chain where others may add rules: podc
// puts two accepts per bridge there, in each family, tagged with this root, and takes them away with the network. What podc does not want
// forwarded is still dropped in its own table. Everybody else's rules are left alone; Blockers names those that are in the way.

// dockerFilters are the tables that Docker has its chain in, one per family.
var dockerFilters = []*nftables.Table{{Name: "filter", Family: nftables.TableFamilyIPv4}, {Name: "filter", Family: nftables.TableFamilyIPv6}}

func isV6(t *nftables.Table) bool { return t.Family == nftables.TableFamilyIPv6 }

const dockerUser = "DOCKER-USER"

// MakeWay has the firewalls of others let through what podc lets through of bridges.
func (fw *Firewall) MakeWay(bridges []Bridge) error {
	return fw.nft(func(c *nftables.Conn) error { return fw.makeWayFor(c, bridges) })
}

// makeWay has the firewalls of others let through what podc lets through of the bridges on record.
func (fw *Firewall) makeWay(c *nftables.Conn) error {
	docker := slices.ContainsFunc(dockerFilters, func(t *nftables.Table) bool { return hasChain(c, t, dockerUser) })
	if !docker && !hasChain(c, firewalldTable, firewalldChain) {
		return nil
	}
	all, err := fw.bridges()
	if err != nil {
		return err
	}
	return fw.makeWayFor(c, all)
}

// makeWayFor is makeWay for the bridges named. What firewalld cannot be brought to do is no error: containers run without their
// way out, which Blockers tells.
func (fw *Firewall) makeWayFor(c *nftables.Conn, bridges []Bridge) error {
	fw.syncFirewalld(c, bridges)
	for _, filter := range dockerFilters {
		if err := fw.syncDockerTable(c, filter, bridges); err != nil {
			return err
		}
	}
	return nil
}

// syncDockerTable makes podc's rules in Docker's chain of a table, if there is one, be those of bridges.
func (fw *Firewall) syncDockerTable(c *nftables.Conn, filter *nftables.Table, bridges []Bridge) error {
	if !hasChain(c, filter, dockerUser) {
		return nil
	}
	chain := &nftables.Chain{Table: filter, Name: dockerUser}
	rules, err := c.GetRules(filter, chain)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", dockerUser, err)
	}
	missing := map[string]bool{} // tags, which say everything about a rule
	for _, b := range bridges {
		if b.has(isV6(filter)) {
			missing[fw.dockerTag("in", b.Name)] = true
			missing[fw.dockerTag("out", b.Name)] = true
		}
	}
	changed := false
	for _, r := range rules {
		tag, _ := userdata.GetString(r.UserData, userdata.Type(userdata.TypeComment))
		if !strings.HasPrefix(tag, fw.Name()+" ") {
			continue
		}
		if missing[tag] {
			delete(missing, tag)
			continue
		}
		r.Table, r.Chain = filter, chain
		if err := c.DelRule(r); err != nil {
			return err
		}
		changed = true
	}
	for tag := range missing {
		c.InsertRule(fw.dockerRule(chain, tag))
		changed = true
	}
	if !changed {
		return nil
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("cannot change %s: %w", dockerUser, err)
	}
	return nil
}

func (fw *Firewall) dockerTag(direction, bridge string) string {
	return fmt.Sprintf("%s %s %s", fw.Name(), direction, bridge)
}

// dockerRule is written with the expressions that iptables-nft would use, so that iptables can list it.
func (fw *Firewall) dockerRule(chain *nftables.Chain, tag string) *nftables.Rule {
	f := strings.Fields(tag)
	key := map[string]expr.MetaKey{"in": expr.MetaKeyIIFNAME, "out": expr.MetaKeyOIFNAME}[f[1]]
	return &nftables.Rule{Table: chain.Table, Chain: chain, UserData: userdata.AppendString(nil, userdata.TypeComment, tag), Exprs: []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: append([]byte(f[2]), 0)},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}}
}
