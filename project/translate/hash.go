package translate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/api"
	"podc.example/podc/project"
)

// facetLength is the number of hex digits of a facet: enough to tell two values apart, few enough for a label.
const facetLength = 12

// digest is the SHA-256 of v as JSON.
func digest(v any) string {
	sum := sha256.Sum256(encode(v))
	return hex.EncodeToString(sum[:])
}

// encode is v as JSON; v holds nothing that JSON cannot say.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("translate: a plain value cannot be encoded: " + err.Error())
	}
	return b
}

// digestKey makes digests that tell nothing about content to those without it.
type digestKey []byte

func (k digestKey) digest(content []byte) string {
	mac := hmac.New(sha256.New, k)
	mac.Write(content)
	return hex.EncodeToString(mac.Sum(nil))
}

// fingerprint sets Hash and Facets. The hash covers all that a replica gets: the template without the labels that podc writes,
// and the contents of files. What does not reach the replica (build, pull policy, replicas, dependencies, profiles) is not in
// the template, or only in podc's labels.
func (k digestKey) fingerprint(s *project.Service, networks []project.Network, digests map[string]string) {
	pod := s.Pod
	pod.Labels = userLabels(pod.Labels)
	s.Hash = digest(struct {
		Pod      api.PodSpec
		PreStart []api.PodSpec     `json:",omitempty"`
		Contents map[string]string `json:",omitempty"`
	}{pod, hookPods(s.PreStart), digests})
	s.Facets = map[string]string{}
	if !s.FixedName {
		pod.Name = ""
	}
	all := facets(pod, networks, digests)
	all["pre_start"] = hookPods(s.PreStart)
	for key, value := range all {
		if reflect.ValueOf(value).IsZero() {
			continue
		}
		s.Facets[key] = k.digest(encode(value))[:facetLength]
	}
}

// hookPods are hooks without what podc says in their labels.
func hookPods(hooks []api.PodSpec) []api.PodSpec {
	pods := slices.Clone(hooks)
	for i := range pods {
		pods[i].Labels = userLabels(pods[i].Labels)
	}
	return pods
}

// facets are the values of a pod by the key of the compose file that they came from.
func facets(pod api.PodSpec, networks []project.Network, digests map[string]string) map[string]any {
	c, n := pod.Container, pod.Network
	all := map[string]any{
		"image": c.Image, "command": c.Command, "entrypoint": c.Entrypoint, "working_dir": c.WorkingDir, "user": c.User,
		"group_add": c.GroupAdd, "tty": c.TTY, "stdin_open": c.StdinOpen, "init": c.Init, "read_only": c.ReadOnly,
		"privileged": c.Privileged, "cap_add": c.CapAdd, "cap_drop": c.CapDrop,
		"security_opt": []any{c.SecurityOpt, digests["security_opt"]}, "devices": c.Devices, "device_cgroup_rules": c.DeviceRules,
		"shm_size": c.ShmSize, "oom_score_adj": c.OOMScoreAdj, "cgroup_parent": c.CgroupParent, "cgroup": c.CgroupNS, "umask": c.Umask, "runtime": c.Runtime, "expose": c.Expose,
		"stop_signal": c.StopSignal, "stop_grace_period": c.StopGrace, "restart": c.Restart, "healthcheck": c.Health, "post_start": c.PostStart, "pre_stop": c.PreStop,
		"logging": c.Log, "hostname": pod.Hostname, "domainname": pod.Domainname, "container_name": pod.Name,
		"network_mode": strings.TrimSuffix(string(n.Mode)+" "+n.Pod, " "), "ports": n.Ports, "dns": n.DNS,
		"dns_search": n.DNSSearch, "dns_opt": n.DNSOptions, "extra_hosts": n.ExtraHosts, "links": n.Links,
		"pid": pod.PID, "ipc": pod.IPC, "uts": pod.UTS, "volumes_from": c.VolumesFrom,
	}
	if len(c.SecurityOpt) == 0 {
		delete(all, "security_opt")
	}
	maps.Copy(all, resourceFacets(c.Resources))
	each(all, "sysctls.", c.Sysctls)
	each(all, "annotations.", c.Annotations)
	each(all, "labels.", pod.Labels)
	each(all, "ulimits.", c.Ulimits)
	for _, kv := range c.Env {
		name, value, _ := strings.Cut(kv, "=")
		all["environment."+name] = []string{value}
	}
	for i, e := range n.Endpoints {
		all["networks."+project.NetworkKey(networks, e.Network)] = []any{i, e}
	}
	for _, m := range c.Mounts {
		all["volumes."+m.Target] = m
	}
	for _, f := range c.Files {
		for _, kind := range []string{"configs.", "secrets."} {
			if d, ok := digests[kind+f.Target]; ok {
				all[kind+f.Target] = []any{f, d}
			}
		}
	}
	return all
}

func resourceFacets(r api.Resources) map[string]any {
	return map[string]any{"cpus": r.CPUs, "cpu_shares": r.CPUShares, "cpu_period": r.CPUPeriod, "cpu_quota": r.CPUQuota,
		"cpuset": r.Cpuset, "mem_limit": r.Memory, "mem_reservation": r.MemoryReservation, "memswap_limit": r.MemorySwap,
		"pids_limit": r.Pids, "mem_swappiness": r.Swappiness, "oom_kill_disable": r.OOMKillDisable, "blkio_config": r.BlockIO}
}

func each[V any](all map[string]any, prefix string, values map[string]V) {
	for k, v := range values {
		all[prefix+k] = []V{v}
	}
}

// userLabels leaves out the labels that podc writes.
func userLabels(labels map[string]string) map[string]string {
	user := map[string]string{}
	for k, v := range labels {
		if !project.OwnLabel(k) {
			user[k] = v
		}
	}
	if len(user) == 0 {
		return nil
	}
	return user
}

// ownLabels are the labels of a network or volume.
func (t *translation) ownLabels(user types.Labels, kind, key, hash string) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, user)
	labels[project.LabelProject] = t.p.Name
	labels[kind] = key
	labels[project.LabelVersion] = t.opt.Version
	labels[project.LabelHash] = hash
	return labels
}
