package network

import (
	"net/netip"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
)

func networkConnectCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "connect", Usage: "join a container to a network", ArgsUsage: "NETWORK CONTAINER",
		Flags: []cli.Flag{
			command.List("alias", "`NAME` of the container on the network, repeatable"),
			command.List("driver-opt", "option of the driver for this container, `KEY=VALUE`, repeatable"),
			command.Number("gw-priority", 0, "the network with the highest `NUMBER` is the way out"),
			command.Text("ip", "IPv4 `ADDRESS` on the network"),
			command.Text("ip6", "IPv6 `ADDRESS` on the network"),
			command.List("link-local-ip", "further `ADDRESS` that is valid on the link only, repeatable"),
		},
		Action: command.Changes(con, connectNetwork),
	}
}

func networkDisconnectCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "disconnect", Usage: "take a container from a network", ArgsUsage: "NETWORK CONTAINER",
		Flags:  []cli.Flag{command.Toggle("force", "do not mind a container that does not exist or is not on the network", "f")},
		Action: command.Changes(con, disconnectNetwork),
	}
}

func connectNetwork(s *command.Session, c *cli.Context) error {
	if c.NArg() != 2 {
		return fault.Invalid("connect needs two arguments: NETWORK CONTAINER")
	}
	e, err := endpointOf(c)
	if err != nil {
		return err
	}
	return s.Podc.Networks.Connect(c.Context, c.Args().Get(0), c.Args().Get(1), e)
}

// endpointOf reads what the flags ask of an endpoint.
func endpointOf(c *cli.Context) (e api.Endpoint, err error) {
	e.Aliases, e.GwPriority = c.StringSlice("alias"), c.Int("gw-priority")
	if e.Options, err = command.Pairs("driver-opt", c.StringSlice("driver-opt")); err != nil {
		return e, err
	}
	for flag, address := range map[string]*netip.Addr{"ip": &e.IPv4, "ip6": &e.IPv6} {
		text := c.String(flag)
		if text == "" {
			continue
		}
		if *address, err = netip.ParseAddr(text); err != nil || address.Is6() != (flag == "ip6") {
			return e, fault.Invalid("invalid --%s %q: want an address such as %s", flag, text, map[string]string{"ip": "10.5.0.7", "ip6": "fd00::7"}[flag])
		}
	}
	for _, text := range c.StringSlice("link-local-ip") {
		a, err := netip.ParseAddr(text)
		if err != nil || !a.IsLinkLocalUnicast() {
			return e, fault.Invalid("invalid --link-local-ip %q: want an address of 169.254.0.0/16 or fe80::/10", text)
		}
		e.LinkLocal = append(e.LinkLocal, a)
	}
	return e, nil
}

func disconnectNetwork(s *command.Session, c *cli.Context) error {
	if c.NArg() != 2 {
		return fault.Invalid("disconnect needs two arguments: NETWORK CONTAINER")
	}
	return s.Podc.Networks.Disconnect(c.Context, c.Args().Get(0), c.Args().Get(1), c.Bool("force"))
}
