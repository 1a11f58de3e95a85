package project

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"podc.example/podc/api"
)

// Generate writes the compose model that pods could have been made from: one service for each pod, of the same name as the
// container, on the networks and volumes that are there. What a model cannot hold (contents of configs and secrets) is left
// out, with a warning. Dollars are doubled, so that the model can be read.
func Generate(pods []api.Pod) (model map[string]any, warnings []string) {
	services, networks, vols := map[string]any{}, map[string]any{}, map[string]any{}
	for _, p := range pods {
		services[serviceName(p)] = generateService(p, pods)
		for _, e := range p.Spec.Network.Endpoints {
			networks[e.Network] = map[string]any{"name": e.Network, "external": true}
		}
		for _, m := range p.Spec.Container.Mounts {
			if m.Type == api.MountVolume && m.Source != "" {
				vols[m.Source] = map[string]any{"name": m.Source, "external": true}
			}
		}
		for _, f := range p.Spec.Container.Files {
			warnings = append(warnings, fmt.Sprintf("%s: %s is a config or secret, and is left out", p.Spec.Name, f.Target))
		}
	}
	model = map[string]any{"services": services}
	put(model, "networks", networks, len(networks) > 0)
	put(model, "volumes", vols, len(vols) > 0)
	return doubled(model).(map[string]any), warnings
}

// serviceName makes a name for a service of that of a container.
func serviceName(p api.Pod) string {
	if numberOf(&p) == 1 && serviceOf(&p) != "" && !oneOff(&p) {
		return serviceOf(&p)
	}
	return p.Spec.Name
}

func put(m map[string]any, key string, value any, is bool) {
	if is {
		m[key] = value
	}
}

func generateService(p api.Pod, all []api.Pod) map[string]any {
	c, n := p.Spec.Container, p.Spec.Network
	s := map[string]any{"image": c.Image, "container_name": p.Spec.Name}
	put(s, "entrypoint", c.Entrypoint, c.Entrypoint != nil)
	put(s, "command", c.Command, c.Command != nil)
	put(s, "environment", c.Env, len(c.Env) > 0)
	put(s, "working_dir", c.WorkingDir, c.WorkingDir != "")
	put(s, "user", c.User, c.User != "")
	put(s, "group_add", c.GroupAdd, len(c.GroupAdd) > 0)
	put(s, "tty", true, c.TTY)
	put(s, "stdin_open", true, c.StdinOpen)
	put(s, "init", true, c.Init)
	put(s, "read_only", true, c.ReadOnly)
	put(s, "privileged", true, c.Privileged)
	put(s, "cap_add", c.CapAdd, len(c.CapAdd) > 0)
	put(s, "cap_drop", c.CapDrop, len(c.CapDrop) > 0)
	put(s, "security_opt", c.SecurityOpt, len(c.SecurityOpt) > 0)
	put(s, "sysctls", c.Sysctls, len(c.Sysctls) > 0)
	put(s, "hostname", p.Spec.Hostname, p.Spec.Hostname != "")
	put(s, "domainname", p.Spec.Domainname, p.Spec.Domainname != "")
	put(s, "dns", n.DNS, len(n.DNS) > 0)
	put(s, "dns_search", n.DNSSearch, len(n.DNSSearch) > 0)
	put(s, "extra_hosts", n.ExtraHosts, len(n.ExtraHosts) > 0)
	put(s, "shm_size", c.ShmSize, c.ShmSize > 0)
	put(s, "mem_limit", c.Resources.Memory, c.Resources.Memory > 0)
	put(s, "mem_reservation", c.Resources.MemoryReservation, c.Resources.MemoryReservation > 0)
	put(s, "cpus", c.Resources.CPUs, c.Resources.CPUs > 0)
	put(s, "cpu_shares", c.Resources.CPUShares, c.Resources.CPUShares > 0)
	put(s, "cpuset", c.Resources.Cpuset, c.Resources.Cpuset != "")
	put(s, "pids_limit", c.Resources.Pids, c.Resources.Pids != 0)
	put(s, "expose", c.Expose, len(c.Expose) > 0)
	put(s, "stop_signal", c.StopSignal, c.StopSignal != "")
	if c.StopGrace != nil {
		s["stop_grace_period"] = c.StopGrace.String()
	}
	put(s, "restart", restartText(c.Restart), c.Restart.Name != "")
	labels := without(p.Spec.Labels, HiddenLabel)
	put(s, "labels", labels, len(labels) > 0)
	put(s, "volumes", generateMounts(c.Mounts), len(c.Mounts) > 0)
	put(s, "ports", generatePorts(n.Ports), len(n.Ports) > 0)
	generateNetwork(s, n, all)
	generateHealth(s, c.Health)
	return s
}

func restartText(r api.RestartPolicy) string {
	if r.MaxRetries > 0 {
		return r.Name + ":" + strconv.Itoa(r.MaxRetries)
	}
	return r.Name
}

func generateMounts(mounts []api.Mount) []any {
	var list []any
	for _, m := range mounts {
		v := map[string]any{"type": string(m.Type), "target": m.Target}
		put(v, "source", m.Source, m.Source != "")
		put(v, "read_only", true, m.ReadOnly)
		put(v, "bind", map[string]any{"create_host_path": m.CreateSource}, m.Type == api.MountBind)
		put(v, "tmpfs", map[string]any{"size": m.TmpfsSize}, m.Type == api.MountTmpfs && m.TmpfsSize > 0)
		list = append(list, v)
	}
	return list
}

func generatePorts(ports []api.Port) []any {
	var list []any
	for _, p := range ports {
		v := map[string]any{"target": p.Container, "protocol": p.Protocol, "mode": "ingress"}
		published := strconv.Itoa(int(p.HostPort))
		if p.HostEnd != 0 {
			published += "-" + strconv.Itoa(int(p.HostEnd))
		}
		put(v, "published", published, p.HostPort != 0)
		put(v, "host_ip", p.HostIP.String(), p.HostIP.IsValid())
		list = append(list, v)
	}
	return list
}

func generateNetwork(s map[string]any, n api.PodNetwork, all []api.Pod) {
	switch {
	case n.Mode == api.NetworkHost:
		s["network_mode"] = "host"
	case n.Mode == api.NetworkPod:
		s["network_mode"] = "container:" + n.Pod
		if i := slices.IndexFunc(all, func(p api.Pod) bool { return p.Spec.Name == n.Pod }); i >= 0 {
			s["network_mode"] = "service:" + serviceName(all[i])
		}
	case len(n.Endpoints) == 0:
		s["network_mode"] = "none"
	default:
		joined := map[string]any{}
		for _, e := range n.Endpoints {
			v := map[string]any{}
			put(v, "aliases", e.Aliases, len(e.Aliases) > 0)
			put(v, "ipv4_address", e.IPv4.String(), e.IPv4.IsValid())
			put(v, "ipv6_address", e.IPv6.String(), e.IPv6.IsValid())
			put(v, "mac_address", e.MAC, e.MAC != "")
			joined[e.Network] = v
		}
		s["networks"] = joined
	}
}

func generateHealth(s map[string]any, h *api.HealthCheck) {
	if h == nil {
		return
	}
	v := map[string]any{}
	put(v, "test", h.Test, len(h.Test) > 0)
	put(v, "interval", h.Interval.String(), h.Interval > 0)
	put(v, "timeout", h.Timeout.String(), h.Timeout > 0)
	put(v, "start_period", h.StartPeriod.String(), h.StartPeriod > 0)
	put(v, "start_interval", h.StartInterval.String(), h.StartInterval > 0)
	put(v, "retries", h.Retries, h.Retries > 0)
	s["healthcheck"] = v
}

// doubled returns v with every dollar of its texts doubled.
func doubled(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "$", "$$")
	case []string:
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = doubled(s)
		}
		return list
	case map[string]string:
		m := map[string]any{}
		for k, s := range v {
			m[k] = doubled(s)
		}
		return m
	case []any:
		for i := range v {
			v[i] = doubled(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = doubled(v[k])
		}
	}
	return v
}
