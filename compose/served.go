package compose

import (
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/schema"
)

// This file is the one table of what podc makes of each key of the Compose Specification. To serve a key, move its line.
//
// A path that is not listed is not served: keys that the specification gains are refused until somebody decides. Entries of
// lists ("[]") and of maps with free keys ("*") have the level of their parent; whatever lies below a key that is ignored or
// not served shares its fate. Values that are not served (a driver, a policy) are refused where they are translated.

// level is what podc makes of a key.
type level int

const (
	later   level = iota // refused by name
	ignored              // no meaning on one machine: a warning
	served
)

// servedKeys take effect.
const servedKeys = `
name version
include include.[].path include.[].project_directory include.[].env_file

services
services.*.annotations services.*.attach services.*.cap_add services.*.cap_drop services.*.cgroup_parent
services.*.command services.*.container_name services.*.entrypoint services.*.environment
services.*.env_file services.*.env_file.[].path services.*.env_file.[].required services.*.env_file.[].format
services.*.extends services.*.extends.file services.*.extends.service
services.*.domainname services.*.hostname services.*.image services.*.init services.*.labels services.*.label_file
services.*.platform services.*.profiles services.*.privileged services.*.pull_policy services.*.read_only
services.*.restart services.*.runtime services.*.scale services.*.security_opt services.*.group_add
services.*.stdin_open services.*.stop_grace_period services.*.stop_signal services.*.sysctls services.*.tty
services.*.user services.*.working_dir services.*.oom_score_adj

services.*.build services.*.build.context services.*.build.dockerfile services.*.build.dockerfile_inline services.*.build.args
services.*.build.target services.*.build.labels services.*.build.tags services.*.build.cache_from services.*.build.cache_to
services.*.build.no_cache services.*.build.no_cache_filter services.*.build.pull services.*.build.network
services.*.build.extra_hosts services.*.build.shm_size services.*.build.ulimits services.*.build.ulimits.*.hard
services.*.build.ulimits.*.soft services.*.build.secrets services.*.build.secrets.[].source services.*.build.secrets.[].target
services.*.build.ssh services.*.build.additional_contexts services.*.build.platforms services.*.build.privileged
services.*.build.entitlements services.*.build.provenance services.*.build.sbom

services.*.depends_on services.*.depends_on.*.condition services.*.depends_on.*.required services.*.depends_on.*.restart
services.*.links services.*.external_links
services.*.healthcheck services.*.healthcheck.disable services.*.healthcheck.interval services.*.healthcheck.retries
services.*.healthcheck.start_interval services.*.healthcheck.start_period services.*.healthcheck.test
services.*.healthcheck.timeout

services.*.network_mode services.*.mac_address services.*.expose services.*.extra_hosts
services.*.dns services.*.dns_opt services.*.dns_search
services.*.post_start services.*.post_start.[].command services.*.post_start.[].environment services.*.post_start.[].privileged
services.*.post_start.[].user services.*.post_start.[].working_dir
services.*.pre_stop services.*.pre_stop.[].command services.*.pre_stop.[].environment services.*.pre_stop.[].privileged
services.*.pre_stop.[].user services.*.pre_stop.[].working_dir
services.*.pre_start services.*.pre_start.[].per_replica
services.*.networks services.*.networks.*.aliases services.*.networks.*.ipv4_address
services.*.networks.*.mac_address services.*.networks.*.priority services.*.networks.*.use_service_name_alias
services.*.networks.*.driver_opts services.*.networks.*.gw_priority services.*.networks.*.interface_name
services.*.networks.*.ipv6_address services.*.networks.*.link_local_ips
services.*.ports services.*.ports.[].app_protocol services.*.ports.[].host_ip services.*.ports.[].mode
services.*.ports.[].name services.*.ports.[].protocol services.*.ports.[].published services.*.ports.[].target

services.*.volumes services.*.volumes.[].type services.*.volumes.[].source services.*.volumes.[].target
services.*.volumes.[].read_only
services.*.volumes.[].bind services.*.volumes.[].bind.create_host_path services.*.volumes.[].bind.propagation
services.*.volumes.[].bind.recursive services.*.volumes.[].bind.selinux
services.*.volumes.[].image services.*.volumes.[].image.subpath services.*.volumes.[].volume.subpath
services.*.volumes.[].volume services.*.volumes.[].volume.labels services.*.volumes.[].volume.nocopy
services.*.volumes.[].tmpfs services.*.volumes.[].tmpfs.mode services.*.volumes.[].tmpfs.size
services.*.tmpfs services.*.shm_size
services.*.configs services.*.configs.[].gid services.*.configs.[].mode services.*.configs.[].source
services.*.configs.[].target services.*.configs.[].uid
services.*.secrets services.*.secrets.[].gid services.*.secrets.[].mode services.*.secrets.[].source
services.*.secrets.[].target services.*.secrets.[].uid

services.*.devices services.*.devices.[].permissions services.*.devices.[].source services.*.devices.[].target
services.*.device_cgroup_rules services.*.ulimits services.*.ulimits.*.hard services.*.ulimits.*.soft
services.*.blkio_config services.*.blkio_config.weight
services.*.blkio_config.weight_device services.*.blkio_config.weight_device.[].path services.*.blkio_config.weight_device.[].weight
services.*.blkio_config.device_read_bps services.*.blkio_config.device_read_bps.[].path services.*.blkio_config.device_read_bps.[].rate
services.*.blkio_config.device_read_iops services.*.blkio_config.device_read_iops.[].path services.*.blkio_config.device_read_iops.[].rate
services.*.blkio_config.device_write_bps services.*.blkio_config.device_write_bps.[].path services.*.blkio_config.device_write_bps.[].rate
services.*.blkio_config.device_write_iops services.*.blkio_config.device_write_iops.[].path services.*.blkio_config.device_write_iops.[].rate
services.*.ipc services.*.pid services.*.uts services.*.userns_mode services.*.volumes_from
services.*.mem_swappiness services.*.oom_kill_disable services.*.umask services.*.cgroup
services.*.cpus services.*.cpuset services.*.cpu_shares services.*.cpu_period services.*.cpu_quota
services.*.mem_limit services.*.mem_reservation services.*.memswap_limit services.*.pids_limit
services.*.logging services.*.logging.driver services.*.logging.options
services.*.deploy services.*.deploy.mode services.*.deploy.replicas services.*.deploy.restart_policy
services.*.deploy.restart_policy.condition services.*.deploy.restart_policy.max_attempts
services.*.deploy.resources services.*.deploy.resources.limits services.*.deploy.resources.limits.cpus
services.*.deploy.resources.limits.memory services.*.deploy.resources.limits.pids
services.*.deploy.resources.reservations services.*.deploy.resources.reservations.memory

networks networks.*.name networks.*.driver networks.*.driver_opts networks.*.external networks.*.external.name
networks.*.internal networks.*.attachable networks.*.labels networks.*.enable_ipv4 networks.*.enable_ipv6
networks.*.ipam networks.*.ipam.driver networks.*.ipam.config networks.*.ipam.config.[].subnet
networks.*.ipam.config.[].gateway networks.*.ipam.config.[].ip_range networks.*.ipam.config.[].aux_addresses

volumes volumes.*.name volumes.*.driver volumes.*.driver_opts volumes.*.external volumes.*.external.name volumes.*.labels
configs configs.*.external configs.*.external.name configs.*.name configs.*.file configs.*.environment configs.*.content configs.*.labels
secrets secrets.*.external secrets.*.external.name secrets.*.name secrets.*.file secrets.*.environment secrets.*.labels
`

// ignoredKeys mean nothing on one machine, or nothing yet that anybody would miss: each with the reason to warn with.
var ignoredKeys = map[string]string{
	"services.*.deploy.endpoint_mode":                            "there is no cluster",
	"services.*.deploy.labels":                                   "they would label a service of a cluster; labels of containers belong under services.*.labels",
	"services.*.deploy.placement":                                "there is only this machine",
	"services.*.deploy.resources.reservations.cpus":              "there is only this machine to place it on",
	"services.*.deploy.resources.reservations.generic_resources": "there is only this machine to place it on",
	"services.*.deploy.restart_policy.delay":                     "restarts back off from 0.1 s to 1 min",
	"services.*.deploy.restart_policy.window":                    "a run of 10 s counts as a good start",
	"services.*.volumes.[].consistency":                          "bind mounts are always consistent on Linux",
	"services.*.deploy.rollback_config":                          "it is for updates of a cluster",
	"services.*.deploy.update_config":                            "it is for updates of a cluster",
	"services.*.isolation":                                       "it is for Windows",
	"services.*.build.isolation":                                 "it is for Windows",
	"services.*.build.secrets.[].uid":                            "a Dockerfile says it: RUN --mount=type=secret,uid=...",
	"services.*.build.secrets.[].gid":                            "a Dockerfile says it: RUN --mount=type=secret,gid=...",
	"services.*.build.secrets.[].mode":                           "a Dockerfile says it: RUN --mount=type=secret,mode=...",
	"services.*.credential_spec":                                 "it is for Windows",
	"services.*.cpu_count":                                       "it is for Windows",
	"services.*.cpu_percent":                                     "it is for Windows",
	"services.*.develop":                                         "this version of podc does not watch files",
}

// laterKeys are refused by name until they are served.
const laterKeys = `
jobs models
services.*.use_api_socket
services.*.models services.*.provider services.*.pull_refresh_after
networks.*.ipam.options
configs.*.template_driver
secrets.*.driver secrets.*.driver_opts secrets.*.template_driver
`

// refusedKeys are those that podc will not serve: each with the reason to refuse it with.
var refusedKeys = map[string]string{
	"services.*.cpu_rt_period":                         "processor time for realtime tasks is shared out by the host's own cgroups; set it there, and name one with cgroup_parent",
	"services.*.cpu_rt_runtime":                        "processor time for realtime tasks is shared out by the host's own cgroups; set it there, and name one with cgroup_parent",
	"services.*.gpus":                                  "podc knows no drivers of graphics cards; name their device files under devices",
	"services.*.deploy.resources.reservations.devices": "podc knows no drivers of devices; name device files under devices",
	"services.*.storage_opt":                           "the file systems of containers have no quota",
}

// keyNode is one place in the tree of all keys of the specification.
type keyNode struct {
	named map[string]*keyNode
	any   *keyNode // "*"
	item  *keyNode // "[]"
	level level
	note  string
	said  bool // level was given by the table, not inherited
}

// keyTree returns the tree of all keys with the levels of the table.
var keyTree = sync.OnceValue(func() *keyNode {
	root := &keyNode{level: served}
	for _, p := range schema.AttributePaths() {
		root.at(string(p), true)
	}
	for _, p := range strings.Fields(servedKeys) {
		root.set(p, served, "")
	}
	for p, why := range ignoredKeys {
		root.set(p, ignored, why)
	}
	for _, p := range strings.Fields(laterKeys) {
		root.set(p, later, "")
	}
	for p, why := range refusedKeys {
		root.set(p, later, why)
	}
	root.likeService()
	root.inherit()
	return root
})

// at returns the node at path, made if asked for, else nil where there is none.
func (n *keyNode) at(path string, create bool) *keyNode {
	for _, part := range strings.Split(path, ".") {
		next := n.child(part)
		if next == nil {
			if !create {
				return nil
			}
			next = &keyNode{}
			n.put(part, next)
		}
		n = next
	}
	return n
}

func (n *keyNode) child(part string) *keyNode {
	switch part {
	case "*":
		return n.any
	case "[]":
		return n.item
	}
	return n.named[part]
}

func (n *keyNode) put(part string, child *keyNode) {
	switch part {
	case "*":
		n.any = child
	case "[]":
		n.item = child
	default:
		if n.named == nil {
			n.named = map[string]*keyNode{}
		}
		n.named[part] = child
	}
}

func (n *keyNode) set(path string, l level, note string) {
	if k := n.at(path, false); k != nil {
		k.level, k.note, k.said = l, note, true
	}
}

// likeService gives the keys of pre_start hooks, which are containers too, the levels that they have in services.
func (n *keyNode) likeService() {
	service := n.at("services.*", false)
	hook := service.at("pre_start.[]", false)
	var copyTo func(from, to *keyNode)
	copyTo = func(from, to *keyNode) {
		if from == nil || to == nil {
			return
		}
		if from.said && !to.said {
			to.level, to.note, to.said = from.level, from.note, true
		}
		for name, child := range to.named {
			copyTo(from.named[name], child)
		}
		copyTo(from.any, to.any)
		copyTo(from.item, to.item)
	}
	for name, child := range hook.named {
		copyTo(service.named[name], child)
	}
}

// inherit fills in the levels that the table does not give.
func (n *keyNode) inherit() {
	for _, c := range []*keyNode{n.any, n.item} {
		if c != nil {
			c.inheritFrom(n, n.level)
		}
	}
	for _, c := range n.named {
		from := n.level
		if from == served {
			from = later
		}
		c.inheritFrom(n, from)
	}
}

func (n *keyNode) inheritFrom(parent *keyNode, l level) {
	if !n.said {
		n.level, n.note = l, parent.note
	}
	n.inherit()
}

// free says that any key may stand below n.
func (n *keyNode) free() bool { return n.named == nil && n.any == nil }

// below returns the place of key below n, nil if there is no such key.
func (n *keyNode) below(key string) *keyNode {
	if c := n.named[key]; c != nil {
		return c
	}
	return n.any
}
