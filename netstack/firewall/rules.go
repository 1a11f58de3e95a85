package firewall

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// buildTable queues the whole table, replacing the one that is there in the same transaction.
func buildTable(c *nftables.Conn, t *nftables.Table, e elements) error {
	c.AddTable(t) // so that deleting never fails
	c.DelTable(t)
	c.AddTable(t)
	x := setsOf(t)
	for _, set := range x.all() {
		if err := c.AddSet(set, nil); err != nil {
			return err
		}
	}
	if err := put(x, e, c.SetAddElements); err != nil {
		return err
	}
	addRules(c, t, x)
	c.AddChain(&nftables.Chain{Name: layout, Table: t})
	return nil
}

// addRules queues the chains and their rules.
func addRules(c *nftables.Conn, t *nftables.Table, x sets) {
	base := func(name string, typ nftables.ChainType, hook *nftables.ChainHook, prio nftables.ChainPriority) *nftables.Chain {
		return c.AddChain(&nftables.Chain{Name: name, Table: t, Type: typ, Hooknum: hook, Priority: nftables.ChainPriorityRef(prio)})
	}
	rule := func(chain *nftables.Chain, parts ...[]expr.Any) {
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: slices.Concat(parts...)})
	}
	publish := c.AddChain(&nftables.Chain{Name: "publish", Table: t})
	for _, v6 := range Families {
		f := x.of(v6)
		rule(publish, isFamily(v6), dnatOn(f.publishedOn, v6))
		rule(publish, isFamily(v6), toLocalAddress(), dnatAny(f.published, v6))
	}

	// The translation of 127.0.0.1 needs route_localnet on the bridges: then nothing but this keeps pods from the host's
	// loopback services.
	raw := base("raw", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw)
	rule(raw, iif(x.bridges), loopback(16, expr.CmpOpEq), verdict(expr.VerdictDrop))

	// A packet for 127.0.0.1 that comes from a wire is forged: it must not reach what is published for this host only. The
	// kernel itself sees to ::1.
	pre := base("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, *nftables.ChainPriorityNATDest)
	rule(pre, loopback(16, expr.CmpOpNeq), toPublish())
	rule(pre, isFamily(true), toPublish())
	// What is sent to ::1 cannot leave by another interface: see splice.go.
	out := base("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, *nftables.ChainPriorityNATDest)
	rule(out, isFamily(false), toPublish())
	rule(out, notToLoopback6(), toPublish())

	// Answers must come back through here: for the host's 127.0.0.1, for pods that called a published port (of their own, of
	// a neighbour on the same bridge), and for all that leaves.
	post := base("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource)
	rule(post, oif(x.bridges, false), loopback(12, expr.CmpOpEq), masquerade())
	for _, v6 := range Families {
		rule(post, oif(x.bridges, false), from(x.of(v6).subnets, v6), translated(), masquerade())
		rule(post, oif(x.bridges, true), from(x.of(v6).leaving, v6), masquerade())
	}

	fwd := base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, *nftables.ChainPriorityFilter)
	rule(fwd, ongoing(), verdict(expr.VerdictAccept))
	rule(fwd, between(x.same), verdict(expr.VerdictAccept))
	rule(fwd, iif(x.internal), verdict(expr.VerdictDrop))
	rule(fwd, oif(x.internal, false), verdict(expr.VerdictDrop))
	rule(fwd, oif(x.bridges, false), translated(), verdict(expr.VerdictAccept))
	for _, v6 := range Families {
		rule(fwd, oif(x.of(v6).routed, false), isPing(v6), verdict(expr.VerdictAccept))
		rule(fwd, isFamily(v6), toOpen(x.of(v6).open, v6), verdict(expr.VerdictAccept))
	}
	rule(fwd, oif(x.bridges, false), verdict(expr.VerdictDrop))
}
