package vm_test

const pair = `
services:
  web: {image: localhost/podc-busybox, hostname: web, command: sh -c 'mkdir /www; hostname >/www/index.html; exec httpd -f -h /www', stop_signal: KILL, ports: ['18080:80']}
  near: {image: localhost/podc-busybox, command: sleep 100000, stop_signal: KILL}
`

// reached has a page fetched from wherever one may want to.
func (m machine) reached() {
	m.Helper()
	const get = "curl -sS --retry 3 --retry-connrefused --max-time 30 http://"
	m.says(get+"127.0.0.1:18080/", "web")
	m.says("cd /srv/pair && podc exec -T near wget -qO- http://web/", "web")
	m.says("ip netns exec outside "+get+"192.0.2.1:18080/", "web")
	m.says("cd /srv/pair && podc exec -T near wget -qO- http://192.0.2.2:8000/", "outside")
}

// outside is a host beside the machine.
const outside = `ip netns add outside
ip link add outside0 type veth peer name eth0 netns outside
ip address add 192.0.2.1/24 dev outside0; ip link set outside0 up
ip -n outside address add 192.0.2.2/24 dev eth0; ip -n outside link set eth0 up
mkdir -p /srv/www; echo outside >/srv/www/index.html; ip netns exec outside busybox httpd -p 8000 -h /srv/www`

func otherFirewalls(m machine) {
	m.load("busybox")
	dir := m.project("pair", map[string]string{"compose.yaml": pair})
	m.root(outside + "; cd " + dir + " && podc up -d --wait")
	defer m.root("cd " + dir + " && podc down; pkill -f '[h]ttpd -p 8000'; ip netns delete outside; systemctl stop firewalld nftables")
	m.behaves("containers are reached", machine.reached)
	m.behaves("a restart of nftables.service, which flushes all rules, is healed", func(m machine) {
		m.root("systemctl restart nftables; nft list tables; systemctl restart nftables")
		m.reached()
	})
	m.behaves("with firewalld, which rejects what no zone allows", func(m machine) {
		m.root("systemctl start firewalld")
		m.reached()
		m.root("firewall-cmd --reload")
		m.reached()
		m.root("cd " + dir + " && podc up -d --force-recreate --wait")
		m.reached()
		m.root("systemctl stop firewalld")
		m.reached()
	})
}

func resolved(m machine) {
	m.load("busybox")
	dir := m.project("names", map[string]string{"compose.yaml": pair})
	podc := "cd " + dir + " && podc "
	m.root("echo 192.0.2.53 outside.example >>/etc/hosts; systemctl restart systemd-resolved; " + podc + "up -d --wait")
	defer m.root(podc + "down; sed -i /outside.example/d /etc/hosts")
	const ask = "exec -T near nslookup -type=a outside.example | grep -c 192.0.2.53"
	m.behaves("containers resolve names of others, and what the host resolves", func(m machine) {
		m.says("grep nameserver /etc/resolv.conf", "nameserver 127.0.0.53")
		m.says(podc+ask, "1")
		m.says(podc+"exec -T near wget -qO- http://web/", "web")
	})
	m.behaves("it may be restarted", func(m machine) {
		m.root("systemctl restart systemd-resolved")
		m.says(podc+ask, "1")
	})
	m.behaves("its own names are still answered to the host", func(m machine) {
		m.root("resolvectl query outside.example | grep 192.0.2.53")
	})
}
