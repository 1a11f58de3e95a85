package vm_test

import (
	"fmt"
	"strings"
)

// ending has containers that write into /srv/said what becomes of them.
const ending = `
x-run: &run {image: localhost/podc-busybox, volumes: ['/srv/said:/said'], stop_signal: SIGKILL}
services:
  db:
    <<: *run
    restart: unless-stopped
    stop_signal: SIGUSR1
    command: sh -c "trap 'echo db >>/said/order; exit 0' USR1; echo db up >>/said/order; while :; do sleep 1; done"
  app:
    <<: *run
    restart: on-failure
    stop_signal: SIGTERM
    depends_on: [db]
    pre_stop: [{command: sh -c 'echo hook >>/said/order'}]
    command: sh -c "trap 'echo app >>/said/order; exit 3' TERM; echo app up >>/said/order; while :; do sleep 1; done"
  deaf: {<<: *run, restart: always, stop_signal: SIGTERM, stop_grace_period: 2s, command: "sh -c 'trap : TERM; while :; do sleep 1; done'"}
  halted: {<<: *run, restart: unless-stopped, command: sleep 10000}
`

// endOfTheMachine: containers end in order, each by its own signal; none is started again meanwhile, nor has to be killed by systemd;
// the next start brings them back.
func endOfTheMachine(m machine) {
	m.load("busybox")
	podc := "cd " + m.project("ending", map[string]string{"compose.yaml": ending, "slow.yaml": "services: {deaf: {stop_grace_period: 50s}}\n"}) + " && podc "
	m.root("mkdir -p /srv/said && " + podc + "up -d && " + podc + "stop halted")
	states := podc + "ps -a --format '{{.Service}} {{.State}}' | sort | tr '\n' ' '"
	const begun = "until grep -q 'db up' /srv/said/order && grep -q 'app up' /srv/said/order; do sleep 2; done; rm /srv/said/order"
	m.behaves("for as long as containers take, which systemd cannot know", func(m machine) {
		const own = "/etc/systemd/system/podc.service.d"
		m.says("systemctl show podc -p TimeoutStopUSec", "TimeoutStopUSec=2min")
		m.root("mkdir -p " + own + " && printf '[Service]\\nTimeoutStopSec=30s\\n' >" + own + "/test.conf && systemctl daemon-reload")
		m.root(podc + "-f compose.yaml -f slow.yaml up -d deaf && systemctl stop podc")
		m.says("systemctl show podc -p Result; "+podc+"ps -a --format '{{.State}} {{.ExitCode}}' deaf", "Result=success\nexited 137")
		m.says("journalctl -b -u podc --no-pager -o cat | grep -c ' Container ending-deaf-1 Stopped'", "1")
		m.root("rm -r " + own + " /srv/said/order && systemctl daemon-reload && systemctl start podc && " + podc + "up -d && " + podc + "stop halted")
		m.root(begun)
	})
	m.behaves("by the unit", func(m machine) {
		m.reboot()
		m.says(states, "app running db running deaf running halted exited")
		m.says("tr '\n' ' ' </srv/said/order", "hook app db db up app up")
		m.says("journalctl -b -1 -u podc --no-pager -o cat | grep -c ' Container ending-.* Stopped' ; rm /srv/said/order", "6") // three each time
	})
	// Without it systemd sends SIGTERM to all that is left: the monitors see to the rest.
	m.behaves("without the unit", func(m machine) {
		m.root("systemctl disable -q podc && systemctl stop podc && rm -f /srv/said/order && " + podc + "up -d --scale halted=0 && " + begun)
		if err := m.vm.Reboot(m.Context()); err != nil {
			m.Fatal(err)
		}
		m.root("systemctl is-system-running --wait || true")
		// app may hear systemd's signal and that of its monitor.
		m.says("grep -v hook /srv/said/order | sort -u | tr '\n' ' '", "app db")
		m.says(podc+"ps -a --format '{{.Service}} {{.State}} {{.ExitCode}}' | sort", "app exited 3\ndb exited 0\ndeaf exited 137")
		m.root("systemctl enable -q --now podc")
		m.says(states, "app running db running deaf running")
	})
	m.root(podc + "down -v -t 0; rm -r /srv/said")
}

// security: what confines a container, who it is put down to, and what a person without rights is told.
func security(m machine) {
	m.load("busybox")
	dir := m.project("confined", map[string]string{"compose.yaml": `
x-run: &run {image: localhost/podc-busybox, restart: always, stop_signal: SIGKILL, command: sleep 10000}
services:
  plain: {<<: *run}
  nnp: {<<: *run, init: true, security_opt: ['no-new-privileges:true'], healthcheck: {test: cat /proc/self/loginuid >/tmp/probe, interval: 10m, start_interval: 5s, start_period: 5m}}
  free: {<<: *run, security_opt: ['apparmor=unconfined', systempaths=unconfined]}
  open: {<<: *run, security_opt: [systempaths=unconfined]}
`, "bad.yaml": "services: {bad: {image: localhost/podc-busybox, security_opt: ['apparmor=nosuch']}}\n"})
	podc := "cd " + dir + " && podc "
	m.as("dev", strings.ReplaceAll(podc, "podc", "sudo podc")+"up -d plain") // who with it starts the monitor, and logs out
	m.root(podc + "up -d --wait")
	m.behaves("AppArmor", func(m machine) {
		m.says(podc+"exec -T plain cat /proc/self/attr/current; podc exec -T --privileged plain cat /proc/self/attr/current | tail -1", "podc-default (enforce)\nunconfined")
		m.says(podc+"container inspect -f '{{.AppArmorProfile}}' confined-plain-1 confined-free-1", "podc-default\nunconfined")
		m.says(podc+`exec -T nnp sh -c 'sleep 100 & kill $!; echo $?; grep -c podc-default /proc/self/attr/current'`, "0\n1")
		write := "exec -T %s sh -c 'cat /proc/sys/kernel/sysrq >/tmp/v; cat /tmp/v >/proc/sys/kernel/sysrq' 2>/dev/null && echo written || echo refused"
		m.says(fmt.Sprintf(podc+write+"; podc "+write, "open", "free"), "refused\nwritten")
		m.says("cd "+dir+"; (podc -p bad -f bad.yaml up -d 2>&1 || true) | grep -c 'no profile of that name is loaded'; podc -p bad ps -aq | wc -l", "1\n0")
		m.says("apparmor_parser --remove <<<'profile podc-default { }'; "+podc+"restart -t 0 plain; podc exec -T plain cat /proc/self/attr/current", "podc-default (enforce)")
	})
	m.behaves("login uid", func(m machine) {
		m.as("dev", strings.ReplaceAll(podc, "podc", "sudo podc")+"restart -t 0 plain")
		logins := "for c in plain nnp; do cat /proc/$(podc container inspect -f '{{.State.Pid}}' confined-$c-1)/loginuid; echo; done"
		dev := m.as("dev", "id -u")
		m.says(logins, dev+"\n0")
		m.says("for c in plain nnp; do p=$(podc container inspect -f '{{.State.Pid}}' confined-$c-1); kill -9 $p; "+
			"until s=$(podc container inspect -f '{{.State.Pid}} {{.State.Running}} {{.State.Restarting}}' confined-$c-1); [[ $s != $p\\ * && $s == *' true false' ]]; do sleep 2; done; done", "")
		m.says(logins, dev+"\n0")
		m.says(podc+"exec -T nnp sh -c 'until test -s /tmp/probe; do sleep 2; done; cat /tmp/probe'", "0")
	})
	m.behaves("an ordinary user", func(m machine) {
		const sentence = "podc: permission denied: podc runs as root (with sudo, for example) until it serves ordinary users (rootless)"
		for _, command := range []string{"ps", "ls", "up -d", "down", "volume ls", "system check", "exec plain true"} {
			if out := m.as("dev", "cd "+dir+"; podc "+command+" 2>&1 || echo $?"); out != sentence+"\n1" {
				m.Errorf("podc %s said %q", command, out)
			}
		}
		if out := m.as("dev", "cd "+dir+"; podc config --services | sort | tr '\n' ' '"); out != "free nnp open plain" {
			m.Errorf("podc config printed %q", out)
		}
	})
	m.root(podc + "down -v -t 0")
}
