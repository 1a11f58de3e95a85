package netstack

import (
	"context"
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

// makeWay has the firewalls of others let through what podc lets through of the networks that exist. The net lock is held.
func (s *Stack) makeWay(c *nftables.Conn) error {
	docker := slices.ContainsFunc(dockerFilters, func(t *nftables.Table) bool { return hasChain(c, t, dockerUser) })
	if !docker && !hasChain(c, firewalldTable, firewalldChain) {
		return nil
	}
	all, err := s.Networks()
	if err != nil {
		return err
	}
	return s.makeWayFor(c, all)
}

// makeWayFor is makeWay for the networks named. What firewalld cannot be brought to do is no error: containers run without their
// way out, which Blockers tells.
func (s *Stack) makeWayFor(c *nftables.Conn, networks map[string]Network) error {
	s.syncFirewalld(c, networks)
	return s.syncDockerFor(c, networks)
}

// syncDockerFor makes podc's rules in Docker's chain, if there is one, be those of networks. The net lock is held.
func (s *Stack) syncDockerFor(c *nftables.Conn, networks map[string]Network) error {
	for _, filter := range dockerFilters {
		if err := s.syncDockerTable(c, filter, networks); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stack) syncDockerTable(c *nftables.Conn, filter *nftables.Table, networks map[string]Network) error {
	if !hasChain(c, filter, dockerUser) {
		return nil
	}
	chain := &nftables.Chain{Table: filter, Name: dockerUser}
	rules, err := c.GetRules(filter, chain)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", dockerUser, err)
	}
	missing := map[string]bool{} // tags, which say everything about a rule
	for _, n := range networks {
		if isBridge(n) && hasFamily(n, isV6(filter)) {
			missing[s.dockerTag("in", n.Bridge)] = true
			missing[s.dockerTag("out", n.Bridge)] = true
		}
	}
	changed := false
	for _, r := range rules {
		tag, _ := userdata.GetString(r.UserData, userdata.Type(userdata.TypeComment))
		if !strings.HasPrefix(tag, s.table().Name+" ") {
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
		c.InsertRule(s.dockerRule(chain, tag))
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

func (s *Stack) dockerTag(direction, bridge string) string {
	return fmt.Sprintf("%s %s %s", s.table().Name, direction, bridge)
}

// dockerRule is written with the expressions that iptables-nft would use, so that iptables can list it.
func (s *Stack) dockerRule(chain *nftables.Chain, tag string) *nftables.Rule {
	f := strings.Fields(tag)
	key := expr.MetaKeyIIFNAME
	if f[1] == "out" {
		key = expr.MetaKeyOIFNAME
	}
	return &nftables.Rule{Table: chain.Table, Chain: chain, UserData: userdata.AppendString(nil, userdata.TypeComment, tag), Exprs: []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: append([]byte(f[2]), 0)},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}}
}

// Blockers names the forward chains of others that drop what podc lets through, so that published ports and the way out do
// not work: those with a policy of drop or a last rule that drops or rejects everything. Docker's is none, since podc has its
// accepts there.
func (s *Stack) Blockers(ctx context.Context) ([]string, error) {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, err
	}
	defer c.CloseLasting()
	chains, err := c.ListChains()
	if err != nil {
		return nil, fmt.Errorf("cannot list nftables chains: %w", err)
	}
	var out []string
	for _, ch := range chains {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if why := s.blocks(c, ch); why != "" {
			out = append(out, fmt.Sprintf("chain %q of nftables table %s %q: %s", ch.Name, familyName(ch.Table.Family), ch.Table.Name, why))
		}
	}
	slices.Sort(out)
	return out, nil
}

// forwarding are the families whose packets podc forwards.
var forwarding = []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6, nftables.TableFamilyINet}

// blocks says why a chain stops forwarded packets of podc, or "".
func (s *Stack) blocks(c *nftables.Conn, ch *nftables.Chain) string {
	if !slices.Contains(forwarding, ch.Table.Family) || ch.Hooknum == nil || *ch.Hooknum != *nftables.ChainHookForward || ch.Type != nftables.ChainTypeFilter {
		return ""
	}
	rules, err := c.GetRules(ch.Table, ch)
	if err != nil || strings.HasPrefix(ch.Table.Name, "podc-") {
		return ""
	}
	ours := func(t *nftables.Table) bool { return t.Name == ch.Table.Name && t.Family == ch.Table.Family }
	if slices.ContainsFunc(dockerFilters, ours) && jumpsTo(rules, dockerUser) || ours(firewalldTable) && s.passesFirewalld(c) {
		return ""
	}
	if ch.Policy != nil && *ch.Policy == nftables.ChainPolicyDrop {
		return "its policy is drop"
	}
	if len(rules) > 0 && dropsAll(rules[len(rules)-1]) {
		return "its last rule drops everything"
	}
	return ""
}

func jumpsTo(rules []*nftables.Rule, chain string) bool {
	return slices.ContainsFunc(rules, func(r *nftables.Rule) bool {
		return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
			v, ok := e.(*expr.Verdict)
			return ok && v.Chain == chain
		})
	})
}

// dropsAll reports whether a rule drops or rejects without a condition.
func dropsAll(r *nftables.Rule) bool {
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Reject:
			return true
		case *expr.Verdict:
			return e.Kind == expr.VerdictDrop
		default:
			return false
		}
	}
	return false
}

func familyName(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyINet:
		return "inet"
	case nftables.TableFamilyIPv6:
		return "ip6"
	}
	return "ip"
}
