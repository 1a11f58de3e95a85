package translate

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestRefusals pins the words with which values are refused while translating. The folder of the project reads DIR in them.
func TestRefusals(t *testing.T) {
	const web = "services:\n  web:\n    image: nginx\n"
	for _, tt := range []struct{ name, yaml, setup, want, hint string }{
		{name: "start_interval", yaml: web + "    healthcheck: {test: [CMD, x], start_interval: 1s}\n", want: "compose.yaml:4: services.web.healthcheck: healthcheck.start_interval requires healthcheck.start_period to be set"},
		{name: "pull daily", yaml: web + "    pull_policy: daily\n", want: `compose.yaml:4: services.web.pull_policy: "daily": not served yet by this version of podc`},
		{name: "pull nonsense", yaml: web + "    pull_policy: sometimes\n", want: "compose.yaml:4: services.web.pull_policy: 'sometimes' does not match pattern '^(always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+)$'"},
		{name: "platform", yaml: web + "    platform: linux/s390x\n", want: "compose.yaml:4: services.web.platform: linux/s390x: not served yet by this version of podc"},
		{name: "volume of one letter", yaml: web + "    volumes: [\"d:/x\"]\nvolumes: {d: {}}\n", want: `compose.yaml:4: services.web.volumes[0]: mount target "d:/x" is not an absolute path`, hint: "a volume whose name is one letter needs the long syntax: {type: volume, source: d, target: /x}"},
		{name: "driver", yaml: web + "    networks: [n]\nnetworks: {n: {driver: overlay}}\n", want: `compose.yaml:5: networks.n.driver: "overlay": not served yet by this version of podc`, hint: "it is for a cluster"},
		{name: "driver option", yaml: web + "    networks: [n]\nnetworks: {n: {driver_opts: {foo: bar}}}\n", want: "compose.yaml:5: networks.n.driver_opts.foo: not served yet by this version of podc"},
		{name: "driver option value", yaml: web + "    networks: [n]\nnetworks: {n: {driver_opts: {com.docker.network.bridge.enable_icc: perhaps}}}\n", want: `compose.yaml:5: networks.n.driver_opts.com.docker.network.bridge.enable_icc: driver option com.docker.network.bridge.enable_icc: "perhaps" is neither true nor false`},
		{name: "option of macvlan", yaml: web + "    networks: [n]\nnetworks: {n: {driver: macvlan, driver_opts: {com.docker.network.bridge.name: x}}}\n", want: "compose.yaml:5: networks.n.driver_opts.com.docker.network.bridge.name: not served yet by this version of podc"},
		{name: "no family by option", yaml: web + "    networks: [n]\nnetworks: {n: {driver_opts: {com.docker.network.enable_ipv4: \"false\"}}}\n", want: "compose.yaml:5: networks.n.enable_ipv4: without IPv4 the network needs IPv6", hint: "add enable_ipv6: true"},
		{name: "bad option of a family", yaml: web + "    networks: [n]\nnetworks: {n: {driver_opts: {com.docker.network.enable_ipv6: perhaps}}}\n", want: `compose.yaml:5: networks.n.driver_opts.com.docker.network.enable_ipv6: driver option com.docker.network.enable_ipv6: "perhaps" is neither true nor false`},
		{name: "no family", yaml: web + "    networks: [n]\nnetworks: {n: {enable_ipv4: false}}\n", want: "compose.yaml:5: networks.n.enable_ipv4: without IPv4 the network needs IPv6", hint: "add enable_ipv6: true"},
		{name: "IPv6 subnet", yaml: web + "    networks: [n]\nnetworks: {n: {ipam: {config: [{subnet: \"fd00::/64\"}]}}}\n", want: "compose.yaml:5: networks.n.ipam.config[0]: an IPv6 subnet needs IPv6", hint: "add enable_ipv6: true to the network"},
		{name: "two subnets", yaml: web + "    networks: [n]\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}, {subnet: 10.0.1.0/24}]}}}\n", want: "compose.yaml:5: networks.n.ipam.config: more than one subnet of a family: not served yet by this version of podc"},
		{name: "static IPv6 address", yaml: web + "    networks: {n: {ipv6_address: 10.0.0.5}}\nnetworks: {n: {enable_ipv6: true}}\n", want: `compose.yaml:4: services.web.networks.n.ipv6_address: "10.0.0.5" is no IPv6 address`},
		{name: "link-local address", yaml: web + "    networks: {n: {link_local_ips: [10.0.0.5]}}\nnetworks: {n: {}}\n", want: `compose.yaml:4: services.web.networks.n.link_local_ips[0]: "10.0.0.5" is no link-local address: want one of 169.254.0.0/16 or fe80::/10`},
		{name: "interface name", yaml: web + "    networks: {n: {interface_name: a/b}}\nnetworks: {n: {}}\n", want: `compose.yaml:4: services.web.networks.n.interface_name: "a/b" is no interface name: want at most 15 characters without blanks, "/", ":" and "%"`},
		{name: "endpoint option", yaml: web + "    networks: {n: {driver_opts: {foo: bar}}}\nnetworks: {n: {}}\n", want: "compose.yaml:4: services.web.networks.n.driver_opts.foo: not served yet by this version of podc"},
		{name: "endpoint sysctl", yaml: web + "    networks: {n: {driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.ip_forward=1}}}\nnetworks: {n: {}}\n", want: `compose.yaml:4: services.web.networks.n.driver_opts.com.docker.network.endpoint.sysctls: "net.ipv4.ip_forward=1" is no setting of the interface such as net.ipv4.conf.IFNAME.log_martians=1`},
		{name: "subnet", yaml: web + "    networks: [n]\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.1/24}]}}}\n", want: "compose.yaml:5: networks.n.ipam.config[0].subnet: 10.0.0.1/24 has bits set beyond its prefix", hint: "did you mean 10.0.0.0/24?"},
		{name: "gateway", yaml: web + "    networks: [n]\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/24, gateway: 10.0.1.1}]}}}\n", want: "compose.yaml:5: networks.n.ipam.config[0].gateway: 10.0.1.1 is no address of 10.0.0.0/24"},
		{name: "subnet of the host", yaml: web + "    networks: [n]\nnetworks: {n: {ipam: {config: [{subnet: 127.1.0.0/16}]}}}\n", want: "compose.yaml:5: networks.n.ipam.config[0].subnet: 127.1.0.0/16 cannot be a network: 127.0.0.0/8 is every host's own"},
		{name: "all addresses", yaml: web + "    networks: [n]\nnetworks: {n: {ipam: {config: [{subnet: 0.0.0.0/0}]}}}\n", want: "compose.yaml:5: networks.n.ipam.config[0].subnet: 0.0.0.0/0 cannot be a network: 0.0.0.0/8 means no address"},
		{name: "broadcast address", yaml: web + "    networks: {n: {ipv4_address: 10.0.0.255}}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}\n", want: "compose.yaml:4: services.web.networks.n.ipv4_address: 10.0.0.255 is no address of a host but the broadcast address of 10.0.0.0/24"},
		{name: "address of the gateway", yaml: web + "    networks: {n: {ipv4_address: 10.0.0.1}}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}\n", want: "compose.yaml:4: services.web.networks.n.ipv4_address: 10.0.0.1 is the gateway of network \"n\""},
		{name: "driver that is a path", yaml: web + "    networks: [n]\nnetworks: {n: {driver: ../../bin/sh}}\n", want: "compose.yaml:5: networks.n.driver: \"../../bin/sh\" is no name of a driver"},
		{name: "size of a tmpfs", yaml: web + "    tmpfs: [\"/t:size=1\"]\n", want: "compose.yaml:4: services.web.tmpfs[0]: 1 is no size of a file system in memory: between 4096 bytes and 1125899906842624 (1 PiB) are possible"},
		{name: "static address without subnet", yaml: web + "    networks: {n: {ipv4_address: 10.0.0.5}}\nnetworks: {n: {}}\n", want: `compose.yaml:4: services.web.networks.n.ipv4_address: network "n" has no IPv4 subnet of its own`, hint: "give networks.n a subnet under ipam.config"},
		{name: "static address of replicas", yaml: web + "    scale: 2\n    networks: {n: {ipv4_address: 10.0.0.5}}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}\n", want: "compose.yaml:5: services.web.networks.n: 2 replicas cannot share one address"},
		{name: "same static address", yaml: web + "    networks: {n: {ipv4_address: 10.0.0.5}}\n  w: {image: x, networks: {n: {ipv4_address: 10.0.0.5}}}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}\n", want: `compose.yaml:4: services.web.networks: address 10.0.0.5 is that of service "w" too`},
		{name: "network_mode nonsense", yaml: web + "    network_mode: hots\n", want: `compose.yaml:4: services.web.network_mode: "hots" is none of bridge, none, host, service:NAME, container:NAME`},
		{name: "pid nonsense", yaml: web + "    pid: service\n", want: `compose.yaml:4: services.web.pid: "service" is none of host, service:NAME, container:NAME`},
		{name: "ipc that is not lent", yaml: web + "    ipc: service:db\n  db: {image: x}\n", want: `compose.yaml:4: services.web.ipc: service "db" does not lend its ipc namespace`, hint: "give services.db `ipc: shareable`"},
		{name: "hostname of the host", yaml: web + "    uts: host\n    hostname: x\n", want: `compose.yaml:5: services.web.hostname: cannot be given with uts "host", which has one`},
		{name: "users", yaml: web + "    userns_mode: keep-id\n", want: `compose.yaml:4: services.web.userns_mode: "keep-id": not served yet by this version of podc`, hint: "users of containers are those of the host; leave it out, or write host"},
		{name: "volumes_from", yaml: web + "    volumes_from: [\"db:rx\"]\n  db: {image: x}\n", want: `compose.yaml:4: services.web.volumes_from[0]: "db:rx" is not SERVICE or container:NAME, with :ro or :rw at most`},
		{name: "ports of a sharer", yaml: web + "    ports: [\"80\"]\n    network_mode: service:db\n  db: {image: x}\n", want: `compose.yaml:4: services.web.ports: has no effect in a network shared with service "db"`, hint: "move it to services.db"},
		{name: "host port twice", yaml: web + "    ports: [\"80:80\"]\n  b: {image: x, ports: [\"127.0.0.1:80:8080\"]}\n", want: `compose.yaml:4: services.web.ports: host port 80/tcp is published by service "b" too`},
		{name: "replicas on one port", yaml: web + "    scale: 3\n    ports: [\"8080:80\"]\n", want: "compose.yaml:5: services.web.ports: 3 replicas cannot publish the one host port 8080", hint: "publish a range such as 8080-8082:80, or leave the host port out"},
		{name: "scale of nobody", yaml: web, setup: "scale wbe=2", want: `no such service: wbe`},
		{name: "target port", yaml: web + "    ports: [{target: 0}]\n", want: "compose.yaml:4: services.web.ports[0]: container port 0 is not between 1 and 65535"},
		{name: "sctp", yaml: web + "    ports: [\"80:80/sctp\"]\n", want: "compose.yaml:4: services.web.ports[0]: protocol sctp: not served yet by this version of podc"},
		{name: "host port twice on IPv6", yaml: web + "    ports: [\"80:80\"]\n  b: {image: x, ports: [\"[::1]:80:8080\"]}\n", want: `compose.yaml:4: services.web.ports: host port 80/tcp is published by service "b" too`},
		{name: "expose", yaml: web + "    expose: [\"80/foo\"]\n", want: `compose.yaml:4: services.web.expose[0]: protocol "foo" is none of tcp, udp, sctp`},
		{name: "restart", yaml: web + "    restart: sometimes\n", want: `compose.yaml:4: services.web.restart: "sometimes" is none of no, always, on-failure, unless-stopped`},
		{name: "restart attempts", yaml: web + "    restart: always:3\n", want: `compose.yaml:4: services.web.restart: "always:3": only on-failure takes a number of attempts`},
		{name: "signal", yaml: web + "    stop_signal: SIGFOO\n", want: `compose.yaml:4: services.web.stop_signal: "SIGFOO" is no signal`},
		{name: "log driver", yaml: web + "    logging: {driver: syslog}\n", want: `compose.yaml:4: services.web.logging.driver: "syslog": not served yet by this version of podc`, hint: "use json-file, local, journald or none"},
		{name: "log option", yaml: web + "    logging: {options: {tag: x}}\n", want: "compose.yaml:4: services.web.logging.options.tag: json-file: not served yet by this version of podc", hint: "max-size and max-file are for json-file and local, tag for journald"},
		{name: "log template", yaml: web + "    logging: {driver: journald, options: {tag: '{{.Name}}'}}\n", want: "compose.yaml:4: services.web.logging.options.tag: a template: not served yet by this version of podc", hint: "write the tag out"},
		{name: "log size of the journal", yaml: web + "    logging: {driver: journald, options: {max-size: 1m}}\n", want: "compose.yaml:4: services.web.logging.options.max-size: journald: not served yet by this version of podc"},
		{name: "cgroup_parent upwards", yaml: web + "    cgroup_parent: /a/../..\n", want: `compose.yaml:4: services.web.cgroup_parent: "/a/../.." leads upwards`},
		{name: "log size", yaml: web + "    logging: {options: {max-size: huge}}\n", want: `compose.yaml:4: services.web.logging.options.max-size: "huge" is no size of at least 4k`},
		{name: "sbom", yaml: "services:\n  web:\n    build: {context: ., sbom: true}\n", want: `compose.yaml:3: services.web.build.sbom: "true": not served yet by this version of podc`, hint: "the image store keeps no attestations; leave it out"},
		{name: "platforms", yaml: "services:\n  web:\n    build: {context: ., platforms: [linux/amd64, linux/arm64]}\n", want: "compose.yaml:3: services.web.build.platforms: more than one platform: not served yet by this version of podc"},
		{name: "external build secret", yaml: "services:\n  web:\n    build: {context: ., secrets: [s]}\nsecrets: {s: {external: true}}\n", want: "compose.yaml:3: services.web.build.secrets[0]: an external secret: not served yet by this version of podc"},
		{name: "image of a service that is not built", yaml: web + "  b:\n    build: {context: ., additional_contexts: {x: \"service:web\"}}\n", want: `compose.yaml:5: services.b.build.additional_contexts.x: service "web" has no` + " `build`"},
		{name: "nothing to build", yaml: web + "    pull_policy: build\n", want: "compose.yaml:4: services.web.pull_policy: there is no `build` to make the image of"},
		{name: "ulimit", yaml: web + "    ulimits: {nofiles: 5}\n", want: "compose.yaml:4: services.web.ulimits.nofiles: no such limit", hint: `did you mean "nofile"?`},
		{name: "ulimit order", yaml: web + "    ulimits: {nofile: {soft: 5, hard: 4}}\n", want: "compose.yaml:4: services.web.ulimits.nofile: the soft limit 5 is above the hard limit 4"},
		{name: "CDI", yaml: web + "    devices: [\"nvidia.com/gpu=all\"]\n", want: "compose.yaml:4: services.web.devices[0]: CDI device nvidia.com/gpu=all: not served yet by this version of podc"},
		{name: "image volume", yaml: web + "    volumes: [{type: image, source: X, target: /x}]\n", want: `compose.yaml:4: services.web.volumes[0].source: "X" is no image reference`},
		{name: "subpath outside", yaml: web + "    volumes: [{type: volume, source: v, target: /x, volume: {subpath: ../y}}]\nvolumes: {v: {}}\n", want: `compose.yaml:4: services.web.volumes[0].volume.subpath: "../y" is no path within the source`},
		{name: "recursive without read_only", yaml: web + "    volumes: [{type: bind, source: /x, target: /x, bind: {recursive: readonly}}]\n", want: `compose.yaml:4: services.web.volumes[0].bind.recursive: "readonly" needs read_only: true`},
		{name: "volume option", yaml: web + "    volumes: [\"vol:/v\"]\nvolumes: {vol: {driver_opts: {size: 1g}}}\n", want: "compose.yaml:5: volumes.vol.driver_opts.size: not served yet by this version of podc", hint: "the driver local takes type, device and o"},
		{name: "volume without device", yaml: web + "    volumes: [\"vol:/v\"]\nvolumes: {vol: {driver_opts: {type: nfs}}}\n", want: "compose.yaml:5: volumes.vol.driver_opts: the options of a volume need both device and type"},
		{name: "volume driver", yaml: web + "    volumes: [\"vol:/v\"]\nvolumes: {vol: {driver: nfs}}\n", want: `compose.yaml:5: volumes.vol.driver: "nfs": not served yet by this version of podc`},
		{name: "mount on root", yaml: web + "    tmpfs: [\"/.\"]\n", want: "compose.yaml:4: services.web.tmpfs[0]: nothing may be mounted on / of a container"},
		{name: "mount in /proc", yaml: web + "    volumes: [\"./a:/proc/sys/\"]\n", want: "compose.yaml:4: services.web.volumes[0]: /proc/sys lies in /proc of a container, where nothing may be mounted"},
		{name: "mount on /proc", yaml: web + "    volumes: [\"./a:/proc\"]\n", want: "compose.yaml:4: services.web.volumes[0]: nothing but the host's /proc may be mounted on /proc of a container"},
		{name: "tmpfs on /dev", yaml: web + "    tmpfs: [/dev]\n", want: "compose.yaml:4: services.web.tmpfs[0]: nothing but a bind mount may be mounted on /dev of a container"},
		{name: "secret in /proc", yaml: web + "    secrets: [{source: s, target: /proc/x}]\nsecrets: {s: {file: compose.yaml}}\n", want: "compose.yaml:4: services.web.secrets[0]: /proc/x lies in /proc of a container, where nothing may be mounted"},
		{name: "relative target", yaml: web + "    volumes: [\"./a:b\"]\n", want: `compose.yaml:4: services.web.volumes[0]: mount target "b" is not an absolute path`},
		{name: "tmpfs option", yaml: web + "    tmpfs: [\"/t:foo\"]\n", want: `compose.yaml:4: services.web.tmpfs[0]: option "foo" is not one of tmpfs`},
		{name: "missing secret file", yaml: web + "    secrets: [s]\nsecrets:\n  s:\n    file: ./no\n", want: "compose.yaml:7: secrets.s.file: cannot read DIR/no: no such file or directory"},
		{name: "config is a folder", yaml: web + "    configs: [c]\nconfigs: {c: {file: /}}\n", want: "compose.yaml:5: configs.c.file: cannot read /: is a directory", hint: "mount a folder with `volumes` instead"},
		{name: "external secret", yaml: web + "    secrets: [s]\nsecrets: {s: {external: true, name: none}}\n", want: `compose.yaml:5: secrets.s: secret "none" is declared external but does not exist`, hint: "create it with: podc secret create none FILE"},
		{name: "empty hook", yaml: web + "    post_start: [{command: []}]\n", want: "compose.yaml:4: services.web.post_start[0]: has no command"},
		{name: "hook for each replica", yaml: web + "    pre_start: [{command: x, per_replica: true}]\n", want: "compose.yaml:4: services.web.pre_start[0].per_replica: not served yet by this version of podc", hint: "hooks run once for all replicas"},
		{name: "pid of a hook", yaml: web + "    pre_start: [{command: x, pid: y}]\n", want: `compose.yaml:4: services.web.pre_start[0].pid: "y" is none of host, service:NAME, container:NAME`},
		{name: "uid of a secret", yaml: web + "    secrets: [{source: s, uid: root}]\nsecrets: {s: {file: compose.yaml}}\n", want: `compose.yaml:4: services.web.secrets[0].uid: "root" is no numeric id`},
		{name: "dns", yaml: web + "    dns: [one.one]\n", want: `compose.yaml:4: services.web.dns[0]: "one.one" is no address`},
		{name: "extra host", yaml: web + "    extra_hosts: [\"a:b\"]\n", want: `compose.yaml:4: services.web.extra_hosts: a: "b" is neither an address nor host-gateway`},
		{name: "mac address", yaml: web + "    mac_address: \"01:00:00:00:00:01\"\n", want: `compose.yaml:4: services.web.mac_address: "01:00:00:00:00:01" is no address of one interface`},
		{name: "job", yaml: web + "    deploy: {mode: replicated-job}\n", want: `compose.yaml:4: services.web.deploy.mode: "replicated-job": not served yet by this version of podc`},
		{name: "two at once", yaml: web + "    restart: x\n    stop_signal: x\n", want: "compose.yaml:5: services.web.stop_signal: \"x\" is no signal\ncompose.yaml:4: services.web.restart: \"x\" is none of no, always, on-failure, unless-stopped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, dir := result(t, &txtar.Archive{Comment: []byte(tt.setup), Files: []txtar.File{{Name: "compose.yaml", Data: []byte(tt.yaml)}}})
			message, hint, _ := strings.Cut(strings.TrimPrefix(got, "error: "), "\nhint: ")
			message = strings.ReplaceAll(message, dir, "DIR")
			if !strings.HasPrefix(got, "error: ") || message != tt.want {
				t.Errorf("got  %.300s\nwant %s", message, tt.want)
			}
			if tt.hint != "" && strings.TrimSpace(hint) != tt.hint {
				t.Errorf("hint %q, want %q", hint, tt.hint)
			}
		})
	}
}
