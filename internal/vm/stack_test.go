package vm_test

import (
	"fmt"
	"strings"
)

const shop = `
services:
  db:
    image: localhost/podc-busybox
    command: sh -c "trap 'exit 0' TERM; date >>/data/starts; while :; do sleep 1000 & wait; done"
    restart: always
    volumes: ['data:/data']
    mem_limit: 64m
    memswap_limit: 96m
    cpus: 0.5
    pids_limit: 50
    secrets: [password]
    healthcheck: {test: test -s /data/starts, interval: 10m, start_interval: 5s, timeout: 1m, start_period: 5m}
  web:
    image: localhost/podc-busybox
    command: sh -c "trap 'exit 0' TERM; mkdir /www; hostname >/www/index.html; httpd -f -p 8000 -h /www & wait"
    hostname: web
    restart: unless-stopped
    depends_on: {db: {condition: service_healthy}}
    ports: ['18080:8000']
    cpuset: "0"
    blkio_config: {device_read_bps: [{path: /dev/vda, rate: 1mb}]}
    cpu_shares: 512
    deploy: {resources: {limits: {memory: 48m, cpus: '0.25', pids: 30}, reservations: {memory: 16m}}}
volumes: {data: {}}
secrets: {password: {file: password}}
`

func stackOfContainers(m machine) {
	m.load("busybox")
	dir := m.project("shop", map[string]string{"compose.yaml": shop, "password": "secret\n"})
	podc := "cd " + dir + " && podc "
	serves := func(m machine) {
		m.says("curl -sS --retry 5 --retry-connrefused --max-time 60 http://127.0.0.1:18080/", "web")
		m.says("curl -sS --max-time 60 http://$(hostname -I | cut -d' ' -f1):18080/", "web")
	}
	m.behaves("doctor finds that nothing is missing", func(m machine) { m.root("podc doctor") })
	m.behaves("up waits until it is healthy", func(m machine) {
		m.root(podc + "up -d --wait")
		m.says(podc+"ps --format '{{.Service}} {{.State}} {{.Health}}' | sort", "db running healthy\nweb running")
	})
	m.behaves("a published port is served", serves)
	m.behaves("exec runs in a container", func(m machine) {
		m.says(podc+"exec -T db cat /run/secrets/password", "secret")
		m.says(podc+"exec -T web wget -qO- http://web:8000/", "web")
	})
	m.behaves("limits are in force", func(m machine) {
		m.limits("shop-db-1", "memory.max 67108864", "memory.swap.max 33554432", "cpu.max 50000 100000", "pids.max 50")
		m.limits("shop-web-1", "memory.max 50331648", "memory.low 16777216", "cpu.max 25000 100000", "cpu.weight 20", "pids.max 30", "cpuset.cpus 0", "io.max 254:0 rbps=1048576 wbps=max riops=max wiops=max")
	})
	m.behaves("all containers are in a slice that systemd sets limits of", func(m machine) {
		m.root("systemctl set-property --runtime podc.slice CPUWeight=50 MemoryMax=1G && systemctl daemon-reload")
		m.says("cd /sys/fs/cgroup/podc.slice && cat cpu.weight memory.max && ls -d podc-containers.service/podc-*/$(podc -p shop ps -q db) | wc -l", "50\n1073741824\n1")
		m.limits("shop-db-1", "memory.max 67108864", "pids.max 50")
	})
	m.behaves("a reboot brings it back", func(m machine) {
		m.reboot()
		m.says(podc+"ps --format '{{.Service}} {{.State}}' | sort", "db running\nweb running")
		m.says(podc+"exec -T db sh -c 'wc -l </data/starts'", "2")
		serves(m)
	})
	m.behaves("down removes it", func(m machine) {
		m.root(podc + "down -v")
	})
}

// limits reads files of a container's cgroup, each wanted as its name and its content.
func (m machine) limits(container string, want ...string) {
	m.Helper()
	var names []string
	for _, w := range want {
		name, _, _ := strings.Cut(w, " ")
		names = append(names, name)
	}
	script := fmt.Sprintf(`pid=$(podc container inspect -f '{{.State.Pid}}' %s); cd /sys/fs/cgroup$(cut -d: -f3 /proc/$pid/cgroup); for f in %s; do echo $f $(cat $f); done`,
		container, strings.Join(names, " "))
	m.says(script, strings.Join(want, "\n"))
}

// reboot reboots the machine, and waits until all units that belong to its start have ended.
func (m machine) reboot() {
	m.Helper()
	if err := m.vm.Reboot(m.Context()); err != nil {
		m.Fatal(err)
	}
	m.booted()
}

// booted waits for the end of the start, and for podc's unit.
func (m machine) booted() {
	m.Helper()
	m.root("systemctl is-system-running --wait || true; systemctl is-active podc")
}

// powerCut ends the machine without a word, and starts it again.
func (m machine) powerCut() {
	m.Helper()
	if err := m.vm.PowerCut(m.Context()); err != nil {
		m.Fatal(err)
	}
	m.booted()
}
