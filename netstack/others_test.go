package netstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
)

// Beside a Docker, whose forward chain drops what it does not know.
func TestBesideDocker(t *testing.T) {
	if !onHost(t) {
		return
	}
	docker := func() {
		for _, rule := range []string{"-P FORWARD DROP", "-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-A FORWARD -j DOCKER-USER"} {
			for _, tool := range []string{"iptables-nft", "ip6tables-nft"} {
				run(t, append([]string{tool}, strings.Fields(rule)...)...)
			}
		}
	}
	l := newLab(t, "0a1b2c3d")
	lan := l.uplink()
	docker()
	before := run(t, "iptables-nft", "-S") + run(t, "ip6tables-nft", "-S")
	n := l.network(api.Network{Name: "net", IPv6: true})
	l.network(api.Network{Name: "other"})
	web := l.attach(api.Attachment{ID: "web", Endpoints: []api.Endpoint{{Network: "net"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}})
	l.serve(web.NetNS, "tcp", ":80", "web")
	l.serve(web.NetNS, "tcp", ":81", "web")
	l.serve(lan, "tcp", ":80", "lan")
	l.expect(lan, "tcp", "192.0.2.2:8080", "web")
	l.expect(lan, "tcp", "[2001:db8::2]:8080", "web")
	l.expect(web.NetNS, "tcp", "192.0.2.1:80", "lan")
	l.expect(web.NetNS, "tcp", "[2001:db8::1]:80", "lan")
	l.expect(lan, "tcp", addrOf(web, 0)+":81", "")
	if b, err := l.Blockers(t.Context()); err != nil || len(b) != 0 {
		t.Errorf("blockers: %v %v", b, err)
	}
	rules := run(t, "iptables-nft", "-S", "DOCKER-USER")
	for _, want := range []string{"-A DOCKER-USER -i " + n.Bridge + " -m comment --comment \"podc-0a1b2c3d in " + n.Bridge + "\" -j ACCEPT",
		"-A DOCKER-USER -o " + n.Bridge + " -m comment --comment \"podc-0a1b2c3d out " + n.Bridge + "\" -j ACCEPT"} {
		if strings.Count(rules, want) != 1 {
			t.Errorf("want one %q in\n%s", want, rules)
		}
	}
	// Docker starts again and makes its chains anew: the next Attach puts the rules back.
	for _, tool := range []string{"iptables-nft", "ip6tables-nft"} {
		run(t, tool, "-F")
		run(t, tool, "-X", "DOCKER-USER")
	}
	docker()
	l.attach(api.Attachment{ID: "next", Endpoints: []api.Endpoint{{Network: "net"}}})
	l.expect(lan, "tcp", "192.0.2.2:8080", "web")
	l.clean()
	if after := run(t, "iptables-nft", "-S") + run(t, "ip6tables-nft", "-S"); after != before {
		t.Errorf("Docker's rules after the last network:\n%s\nbefore:\n%s", after, before)
	}
}

func TestBlockers(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "net"})
	for _, cmd := range []string{
		"add table inet fw", "add chain inet fw hook1 { type filter hook forward priority 10; policy drop; }",
		"add table inet fw2", "add chain inet fw2 rejects { type filter hook forward priority 10; policy accept; }",
		"add rule inet fw2 rejects ct state established accept", "add rule inet fw2 rejects counter reject",
		"add table ip fine", "add chain ip fine hook1 { type filter hook forward priority 10; policy accept; }",
		"add rule ip fine hook1 ip daddr 10.0.0.1 drop", "add chain ip fine in { type filter hook input priority 10; policy drop; }",
	} {
		run(t, append([]string{"nft"}, cmd)...)
	}
	got, err := l.Blockers(t.Context())
	must(t, err)
	want := `[chain "hook1" of nftables table inet "fw": its policy is drop chain "rejects" of nftables table inet "fw2": its last rule drops everything]`
	if fmt.Sprint(got) != want {
		t.Errorf("blockers %v, want %s", got, want)
	}
	l.clean()
}

func TestNetworks(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.uplink()
	run(t, "ip", "link", "set", "uplink", "mtu", "1400")
	run(t, "ip", "route", "add", "172.28.0.0/15", "dev", "uplink") // as a VPN
	n := l.network(api.Network{Name: "net", Labels: map[string]string{"a": "b"}})
	if got := n.Subnets[0]; got.CIDR != prefix("172.30.0.0/22") || got.Gateway != mustAddr("172.30.0.1") {
		t.Errorf("subnet %+v", got)
	}
	link, err := netlink.LinkByName(n.Bridge)
	must(t, err)
	pod := l.attach(api.Attachment{ID: "pod", Owner: "shop-web-1", Endpoints: []api.Endpoint{{Network: "net"}}})
	must(t, kernel.InNetNS(pod.NetNS, func() error {
		eth, err := netlink.LinkByName("eth0")
		if err == nil && (eth.Attrs().MTU != 1400 || link.Attrs().MTU != 1400 || n.MTU != 1400) {
			err = fmt.Errorf("MTU %d, bridge %d", eth.Attrs().MTU, link.Attrs().MTU)
		}
		return err
	}))
	got, err := l.Network("net")
	if must(t, err); fmt.Sprint(got) != fmt.Sprint(n) {
		t.Errorf("read back %+v, want %+v", got, n)
	}
	_, err = l.CreateNetwork(t.Context(), api.Network{Name: "net"})
	wantError(t, err, errdefs.ErrAlreadyExists, `network "net"`)
	err = l.RemoveNetwork(t.Context(), "net")
	wantError(t, err, errdefs.ErrFailedPrecondition, `in use by "shop-web-1"`)
	for subnet, want := range map[string]string{"172.30.1.0/24": `network "net"`, "192.0.2.0/28": "interface uplink", "172.16.0.0/12": "172.28.0.0/15"} {
		_, err = l.CreateNetwork(t.Context(), api.Network{Name: "x", Subnets: []api.Subnet{{CIDR: prefix(subnet)}}})
		if !errdefs.IsConflict(err) {
			t.Errorf("%s, which overlaps %s: %v", subnet, want, err)
		}
	}
	// Asked for, inside of the route of a VPN: that is the user's choice.
	l.network(api.Network{Name: "inside", Subnets: []api.Subnet{{CIDR: prefix("172.29.7.0/24")}}})
	must(t, l.Detach(t.Context(), "pod"))
	for range 2 {
		must(t, l.RemoveNetwork(t.Context(), "net"))
	}
	if _, err := l.Network("net"); !errdefs.IsNotFound(err) {
		t.Errorf("after removal: %v", err)
	}
	_, err = l.tryAttach(api.Attachment{ID: "late", Endpoints: []api.Endpoint{{Network: "net"}}})
	wantError(t, err, errdefs.ErrNotFound, `network "net" not found`)
	l.clean()
}

// The bridge of a network may be missing for a while, and its subnet then be taken.
func TestATakenSubnetIsReplacedWhileNobodyHasAnAddress(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	n := l.network(api.Network{Name: "net"})
	asked := l.network(api.Network{Name: "asked", Subnets: []api.Subnet{{CIDR: prefix("10.9.0.0/24")}}})
	pod := l.attach(api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "net"}}})
	run(t, "ip", "link", "add", "other", "type", "bridge")
	for _, n := range []api.Network{n, asked} {
		run(t, "ip", "link", "del", n.Bridge)
		run(t, "ip", "addr", "add", n.Subnets[0].CIDR.String(), "dev", "other")
	}
	for _, network := range []string{"net", "asked"} {
		_, err := l.tryAttach(api.Attachment{ID: "late-" + network, Endpoints: []api.Endpoint{{Network: network}}})
		wantError(t, err, errdefs.ErrConflict, "used by interface other")
	}
	must(t, l.Detach(t.Context(), "pod"))
	again := l.attach(api.Attachment{ID: "pod", NetNS: pod.NetNS, Endpoints: []api.Endpoint{{Network: "net"}}})
	moved, err := l.Network("net")
	if must(t, err); moved.Subnets[0].CIDR.Overlaps(n.Subnets[0].CIDR) || !moved.Subnets[0].CIDR.Contains(again.Interfaces[0].IPv4.Addr()) {
		t.Errorf("moved to %+v, attached as %+v", moved.Subnets, again.Interfaces)
	}
	run(t, "ip", "link", "del", "other")
	l.clean()
}

func TestRefusedNetworks(t *testing.T) {
	l := Open(Config{RootID: "0a1b2c3d", Data: t.TempDir(), Run: t.TempDir()})
	for text, n := range map[string]api.Network{
		"name":                 {Name: "../x"},
		"IPv6 to be enabled":   {Name: "n", Subnets: []api.Subnet{{CIDR: prefix("fd00::/64")}}},
		"neither IPv4 nor":     {Name: "n", NoIPv4: true},
		"which is disabled":    {Name: "n", NoIPv4: true, IPv6: true, Subnets: []api.Subnet{{CIDR: prefix("10.0.0.0/24")}}},
		"at least a /126":      {Name: "n", IPv6: true, Subnets: []api.Subnet{{CIDR: prefix("fd00::/127")}}},
		"neither nat nor":      {Name: "n", Options: map[string]string{optionMode6: "nat-unprotected"}},
		"no IPv4 address":      {Name: "n", Options: map[string]string{optionBinding: "::1"}},
		"neither true nor":     {Name: "n", Options: map[string]string{optionICC: "perhaps"}},
		"no address of 10":     {Name: "n", Subnets: []api.Subnet{{CIDR: prefix("10.0.0.0/24"), Gateway: mustAddr("10.0.1.1")}}},
		"ip_range":             {Name: "n", Subnets: []api.Subnet{{CIDR: prefix("10.0.0.0/24"), IPRange: prefix("10.0.0.0/23")}}},
		"no name of a driver":  {Name: "n", Driver: "../bin/sh"},
		"every host's own":     {Name: "n", Subnets: []api.Subnet{{CIDR: prefix("127.9.0.0/16")}}},
		"means no address":     {Name: "n", Subnets: []api.Subnet{{CIDR: prefix("0.0.0.0/0")}}},
		"for multicast":        {Name: "n", Subnets: []api.Subnet{{CIDR: prefix("224.1.0.0/16")}}},
		"broadcast address":    {Name: "n", Subnets: []api.Subnet{{CIDR: prefix("10.0.0.0/24"), Gateway: mustAddr("10.0.0.255")}}},
		"no room":              {Name: "n", Subnets: []api.Subnet{{CIDR: prefix("10.0.0.0/31")}}},
		`option "foo"`:         {Name: "n", Options: map[string]string{"foo": "1"}},
		`"big" is no MTU`:      {Name: "n", Options: map[string]string{optionMTU: "big"}},
		"needs a subnet":       {Name: "n", Subnets: []api.Subnet{{Gateway: mustAddr("10.0.1.1")}}},
		"more than one subnet": {Name: "n", Subnets: make([]api.Subnet, 2)},
	} {
		if _, err := l.CreateNetwork(t.Context(), n); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v, want %q", n, err, text)
		}
	}
}

func TestChooseSubnet(t *testing.T) {
	pools := []Pool{{prefix("10.0.0.0/8"), 24}, {prefix("192.168.0.0/22"), 24}}
	for _, c := range []struct {
		used []string
		want string
	}{
		{nil, "10.0.0.0/24"},
		{[]string{"10.0.0.5/32"}, "10.0.1.0/24"},
		{[]string{"10.0.0.0/9"}, "10.128.0.0/24"},
		{[]string{"10.0.0.0/8"}, "192.168.0.0/24"},
		{[]string{"10.0.0.0/7", "192.168.1.0/24", "192.168.0.0/24"}, "192.168.2.0/24"},
		{[]string{"10.0.0.0/8", "192.168.0.0/16"}, ""},
	} {
		var used []taken
		for _, u := range c.used {
			used = append(used, taken{prefix: prefix(u)})
		}
		got, err := chooseSubnet(pools, used)
		if c.want == "" && !errdefs.IsResourceExhausted(err) || c.want != "" && got != prefix(c.want) {
			t.Errorf("used %v: %v %v, want %s", c.used, got, err, c.want)
		}
	}
}

// A network made by hand, of a plugin that podc does not answer, is driven by executing it.
func TestForeignPlugin(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	plugins, calls := filepath.Join(l.dir, "plugins"), filepath.Join(l.dir, "calls")
	l.plugins.dirs = []string{plugins}
	must(t, os.MkdirAll(plugins, 0o755))
	must(t, os.MkdirAll(filepath.Join(l.dir, "cni"), 0o755))
	must(t, os.WriteFile(filepath.Join(l.dir, "cni", "50-hand.conflist"), []byte(`{"cniVersion":"1.0.0","name":"hand","plugins":[{"type":"fake"}]}`), 0o600))
	must(t, os.WriteFile(filepath.Join(l.dir, "cni", "60-junk.conflist"), []byte(`{`), 0o600))
	plugin := func(script string) {
		must(t, os.WriteFile(filepath.Join(plugins, "fake"), []byte("#!/bin/sh\n"+script), 0o755))
	}
	_, err := l.tryAttach(api.Attachment{ID: "none", Endpoints: []api.Endpoint{{Network: "hand"}}})
	if err == nil || !strings.Contains(err.Error(), `CNI plugin "fake" is not installed`) {
		t.Errorf("without the plugin: %v", err)
	}
	plugin(`echo $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME >> ` + calls + `
[ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:01","sandbox":"/x"}],"ips":[{"address":"10.7.0.5/24","gateway":"10.7.0.1","interface":0}]}'
exit 0`)
	must(t, l.Detach(t.Context(), "none"))
	os.Remove(calls)
	a := l.attach(api.Attachment{ID: "pod", Names: []string{"pod"}, Endpoints: []api.Endpoint{{Network: "hand"}}})
	if i := a.Interfaces[0]; addrOf(a, 0) != "10.7.0.5" || i.Gateway != mustAddr("10.7.0.1") || i.MAC != "02:00:00:00:00:01" {
		t.Errorf("interface %+v", i)
	}
	must(t, l.Detach(t.Context(), "pod"))
	if b, _ := os.ReadFile(calls); string(b) != "ADD pod eth0\nDEL pod eth0\n" {
		t.Errorf("calls:\n%s", b)
	}
	plugin(`[ $CNI_COMMAND = DEL ] && exit 0; echo '{"code":7,"msg":"no luck","details":"today"}'; exit 1`)
	_, err = l.tryAttach(api.Attachment{ID: "failing", Endpoints: []api.Endpoint{{Network: "hand"}}})
	if err == nil || !strings.Contains(err.Error(), "no luck; today") {
		t.Errorf("a failing plugin: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(l.dir, "cni", "70-one.conf"), []byte(`{"cniVersion":"0.4.0","name":"one","type":"fake"}`), 0o600))
	if n, err := l.Network("one"); err != nil || n.Driver != "fake" {
		t.Errorf("network of one plugin: %+v %v", n, err)
	}
	n, err := l.Network("hand")
	if err != nil || n.Driver != "fake" {
		t.Errorf("network %+v %v", n, err)
	}
	wantError(t, l.RemoveNetwork(t.Context(), "hand"), errdefs.ErrFailedPrecondition, "made by hand: remove "+filepath.Join(l.dir, "cni", "50-hand.conflist"))
	if _, err := l.Network("hand"); err != nil {
		t.Error(err)
	}
	l.clean()
}

// A plugin that does not end is killed with its children.
func TestPluginDeadline(t *testing.T) {
	path, fifo := filepath.Join(t.TempDir(), "slow"), filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	must(t, os.WriteFile(path, []byte("#!/bin/sh\nexec 3>"+fifo+"\nsleep 600 &\necho up >&3\nwait\n"), 0o755))
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() {
		_, err := execPlugin(ctx, path, nil, os.Environ())
		ended <- err
	}()
	f, err := os.Open(fifo) // returns once the plugin has opened it
	must(t, err)
	defer f.Close()
	_, err = io.ReadFull(f, make([]byte, len("up\n")))
	must(t, err)
	cancel(errors.New("too slow"))
	if err := <-ended; err == nil || err.Error() != "too slow" {
		t.Errorf("error %v", err)
	}
	must(t, f.SetReadDeadline(time.Now().Add(10*time.Second)))
	if _, err := f.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the plugin's child lives on, with what it inherited: %v", err)
	}
}

func TestPluginPrintsTooMuch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loud")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\nhead -c 3000000 /dev/zero\n"), 0o755))
	if _, err := execPlugin(t.Context(), path, nil, os.Environ()); err == nil {
		t.Error("no error")
	}
}

// firewalldRules is what firewalld makes when it starts, as far as it concerns what is forwarded.
const firewalldRules = `table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		jump filter_FORWARD_ZONES
		reject with icmpx admin-prohibited
	}
	chain filter_FORWARD_ZONES { goto filter_FWD_public; }
	chain filter_FWD_public { }
	chain filter_FWD_trusted { accept; }
}
`

// firewallCmd does what firewalld's tool does, and notes how it was called.
const firewallCmd = `#!/bin/sh -eu
echo "$*" >>"$0.log"
[ "$1 $2" = "--quiet --zone=trusted" ]
shift 2
for arg in "$@"; do
	name=${arg#*=}
	case $arg in
	--add-interface=*+) nft insert rule inet firewalld filter_FORWARD_ZONES iifname "${name%+}*" goto filter_FWD_trusted ;;
	--remove-interface=*) nft flush chain inet firewalld filter_FORWARD_ZONES ;;
	*) exit 2 ;;
	esac
done
`

// Beside a firewalld, which rejects what comes from interfaces of no zone.
func TestBesideFirewalld(t *testing.T) {
	if !onHost(t) {
		return
	}
	dir := t.TempDir()
	tool := filepath.Join(dir, "firewall-cmd")
	must(t, errors.Join(os.WriteFile(tool, []byte(firewallCmd), 0o755), os.WriteFile(filepath.Join(dir, "rules"), []byte(firewalldRules), 0o644)))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	calls := func() string { b, _ := os.ReadFile(tool + ".log"); return string(b) }
	start := func() { run(t, "nft", "-f", filepath.Join(dir, "rules")) }
	l := newLab(t, "0a1b2c3d")
	lan := l.uplink()
	l.serve(lan, "tcp", ":80", "lan")
	start()
	l.network(api.Network{Name: "net"})
	l.network(api.Network{Name: "other"})
	web := l.attach(api.Attachment{ID: "web", Endpoints: []api.Endpoint{{Network: "net"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}})
	l.serve(web.NetNS, "tcp", ":80", "web")
	reached := func(when string) {
		t.Helper()
		t.Log(when)
		l.expect(lan, "tcp", "192.0.2.2:8080", "web")
		l.expect(web.NetNS, "tcp", "192.0.2.1:80", "lan")
		if b, err := l.Blockers(t.Context()); err != nil || len(b) != 0 {
			t.Errorf("blockers: %v %v", b, err)
		}
	}
	reached("with firewalld on")
	if want := "--quiet --zone=trusted --add-interface=b0a1b2c3d+\n"; calls() != want {
		t.Errorf("firewall-cmd was called with %q, want %q", calls(), want)
	}
	run(t, "nft", "delete", "table", "inet", "firewalld")
	start()
	if b, err := l.Blockers(t.Context()); err != nil || len(b) != 1 {
		t.Errorf("blockers after a restart: %v %v", b, err)
	}
	if _, err := l.Heal(t.Context()); err != nil {
		t.Error(err)
	}
	reached("after its restart")
	l.clean()
	if strings.Count(calls(), "--remove-interface=b0a1b2c3d+") != 1 {
		t.Errorf("at the end firewall-cmd was called with %q", calls())
	}
}
