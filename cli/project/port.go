package project

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/container"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
)

func PortCommand() *command.Command {
	return &command.Command{
		Name: "port", Usage: "print the host address of a published port",
		Args: command.Args{command.One(command.Service), command.One(command.Word("PRIVATE_PORT[/PROTOCOL]"))},
		Flags: []*command.Flag{
			command.Index(),
			command.TextOr("protocol", "tcp", command.Value{Name: "PROTOCOL", Words: []string{"tcp", "udp", "sctp"}, Free: true}, ""), // in capitals too
		},
		Run: func(s *command.Session, c *cli.Context) error {
			return port(s, c.Args().First(), c.Args().Get(1), strings.ToLower(c.String("protocol")), c.Int("index"))
		},
	}
}

func port(s *command.Session, service, private, protocol string, index int) error {
	digits, named, found := strings.Cut(private, "/")
	if found {
		protocol = strings.ToLower(named)
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || number == 0 {
		return fault.Invalid("invalid port %q: want a number from 1 to 65535", private)
	}
	pod, err := container.Replica(s, service, index)
	if err != nil {
		return err
	}
	return printPort(s.Con, pod, uint16(number), protocol)
}

// printPort prints where the port of a container is reached from outside: docker compose prints the first place only.
func printPort(con *show.Console, pod api.Pod, private uint16, protocol string) error {
	var published []string
	for _, p := range pod.Ports {
		if p.Container == private && p.Protocol == protocol {
			address := "0.0.0.0"
			if p.HostIP.IsValid() {
				address = p.HostIP.String()
			}
			fmt.Fprintln(con.Out, net.JoinHostPort(address, strconv.Itoa(int(p.HostPort))))
			return nil
		}
		published = append(published, fmt.Sprintf("%d/%s", p.Container, p.Protocol))
	}
	has := "it publishes nothing"
	if len(published) > 0 {
		has = "it publishes " + strings.Join(published, ", ")
	}
	return fault.New(errdefs.ErrNotFound, "no port %d/%s for container %s: %s", private, protocol, pod.Spec.Name, has)
}
