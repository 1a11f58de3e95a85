package netstack

import (
	"context"
	"fmt"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"podc.example/podc/internal/kernel"
)

// TryKernel makes what every network needs in a namespace of its own, which goes with it: a bridge, a pair of links, a table
// of each chain type that podc uses. Its error says what this kernel, or the rights of this process, do not give.
func TryKernel(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		done <- kernel.InNewNetNS(func() error {
			if err := tryLinks(); err != nil {
				return err
			}
			return tryTable()
		})
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func tryLinks() error {
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "podc-try"}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("cannot make a bridge: %w", err)
	}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "podc-try0", MasterIndex: bridge.Index}, PeerName: "podc-try1"}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("cannot make a pair of links: %w", err)
	}
	return nil
}

func tryTable() error {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("cannot speak to nftables: %w", err)
	}
	defer c.CloseLasting()
	t := c.AddTable(&nftables.Table{Name: "podc-try", Family: nftables.TableFamilyINet})
	c.AddChain(&nftables.Chain{Name: "forward", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter})
	c.AddChain(&nftables.Chain{Name: "nat", Table: t, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("cannot make an nftables table with filter and nat chains: %w", err)
	}
	return nil
}
