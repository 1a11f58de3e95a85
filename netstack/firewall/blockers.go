package firewall

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Blockers names the forward chains of others that drop what podc lets through, so that published ports and the way out do
// not work: those with a policy of drop or a last rule that drops or rejects everything. Docker's is none, since podc has its
// accepts there.
func (fw *Firewall) Blockers(ctx context.Context) ([]string, error) {
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
		if why := fw.blocks(c, ch); why != "" {
			out = append(out, fmt.Sprintf("chain %q of nftables table %s %q: %s", ch.Name, familyName(ch.Table.Family), ch.Table.Name, why))
		}
	}
	slices.Sort(out)
	return out, nil
}

// forwarding are the families whose packets podc forwards.
var forwarding = []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6, nftables.TableFamilyINet}

// blocks says why a chain stops forwarded packets of podc, or "".
func (fw *Firewall) blocks(c *nftables.Conn, ch *nftables.Chain) string {
	if !slices.Contains(forwarding, ch.Table.Family) || ch.Hooknum == nil || *ch.Hooknum != *nftables.ChainHookForward || ch.Type != nftables.ChainTypeFilter {
		return ""
	}
	rules, err := c.GetRules(ch.Table, ch)
	if err != nil || strings.HasPrefix(ch.Table.Name, "podc-") {
		return ""
	}
	ours := func(t *nftables.Table) bool { return t.Name == ch.Table.Name && t.Family == ch.Table.Family }
	if slices.ContainsFunc(dockerFilters, ours) && jumpsTo(rules, dockerUser) || ours(firewalldTable) && fw.passesFirewalld(c) {
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
