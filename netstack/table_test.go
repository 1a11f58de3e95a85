package netstack

import (
	"errors"
	"flag"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
)

var update = flag.Bool("update", false, "write golden files anew")

var elementList = regexp.MustCompile(`elements = \{[^}]*\}`)

// nft prints the table as nft does, but with the elements of sets in order: the kernel's is that of a hash.
func (l *lab) nft() string {
	l.t.Helper()
	return elementList.ReplaceAllStringFunc(run(l.t, "nft", "list", "table", "inet", l.firewall.Name()), func(list string) string {
		elems := strings.Split(strings.Trim(strings.TrimPrefix(list, "elements = "), "{}"), ",")
		for i := range elems {
			elems[i] = strings.TrimSpace(elems[i])
		}
		slices.Sort(elems)
		return "elements = { " + strings.Join(elems, ", ") + " }"
	})
}

func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

// TestTable keeps testdata/table.nft true, which is the documentation of the rules.
func TestTable(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "front", Subnets: []api.Subnet{{CIDR: prefix("10.1.0.0/24")}}})
	l.network(api.Network{Name: "back", Subnets: []api.Subnet{{CIDR: prefix("10.1.1.0/24")}}})
	l.network(api.Network{Name: "inside", Internal: true, Subnets: []api.Subnet{{CIDR: prefix("10.1.2.0/24")}}})
	l.network(api.Network{Name: "dual", IPv6: true, Subnets: []api.Subnet{{CIDR: prefix("10.1.3.0/24")}, {CIDR: prefix("fd01::/64")}},
		Options: map[string]string{optionICC: "false", optionMasquerade: "false"}})
	l.network(api.Network{Name: "routed", IPv6: true, NoIPv4: true, Subnets: []api.Subnet{{CIDR: prefix("fd02::/64")}}, Options: map[string]string{optionMode6: "routed"}})
	l.attach(api.Attachment{ID: "both", Endpoints: []api.Endpoint{{Network: "dual"}}, Ports: []api.Port{
		{HostPort: 8081, Container: 80, Protocol: "tcp"}, {HostPort: 8082, Container: 80, Protocol: "tcp", HostIP: mustAddr("::1")},
	}})
	l.attach(api.Attachment{ID: "open", Endpoints: []api.Endpoint{{Network: "routed"}}, Ports: []api.Port{{HostPort: 8083, Container: 80, Protocol: "tcp"}}})
	l.attach(api.Attachment{ID: "web", Endpoints: []api.Endpoint{{Network: "front"}}, Ports: []api.Port{
		{HostPort: 8080, Container: 80, Protocol: "tcp"},
		{HostPort: 5353, Container: 53, Protocol: "udp", HostIP: mustAddr("127.0.0.1")},
	}})
	got := l.nft()
	const golden = "testdata/table.nft"
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if got != string(want) {
		t.Errorf("the table is not as in %s (use -update):\n%s", golden, got)
	}
	l.clean()
}

// loopbackVia sends 127/8 to a gateway, as a hostile container could.
func loopbackVia(gw string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	eth, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	_, all, _ := net.ParseCIDR("127.0.0.0/8")
	return errors.Join(kernel.SetSysctl("net/ipv4/conf/eth0/route_localnet", "1", false), netlink.LinkSetDown(lo),
		netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: all, Gw: net.ParseIP(gw)}))
}
