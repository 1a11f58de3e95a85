package dockerapi

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"podc.example/podc/api"
)

// What podc gives a container that asks for nothing else.
const (
	defaultShm  = 64 << 20
	defaultPids = 2048
)

func hostConfigOf(f ContainerFacts) *HostConfig {
	p, c := f.Pod, f.Pod.Spec.Container
	h := &HostConfig{
		LogConfig: logConfigOf(c.Log), NetworkMode: networkMode(p, f.IDs), AutoRemove: p.Spec.AutoRemove, PortBindings: bindings(p.Spec.Network.Ports),
		RestartPolicy: RestartPolicy{cmp.Or(c.Restart.Name, "no"), c.Restart.MaxRetries}, Annotations: c.Annotations,
		CapAdd: c.CapAdd, CapDrop: c.CapDrop, DNS: orEmpty(p.Spec.Network.DNS), DNSOptions: orEmpty(p.Spec.Network.DNSOptions),
		DNSSearch: orEmpty(p.Spec.Network.DNSSearch), ExtraHosts: extraHosts(p.Spec.Network.ExtraHosts), GroupAdd: c.GroupAdd,
		IpcMode: cmp.Or(namespaceMode(p.Spec.IPC, f.IDs), "private"), PidMode: namespaceMode(p.Spec.PID, f.IDs),
		UTSMode: namespaceMode(p.Spec.UTS, f.IDs), Links: links(p.Spec.Network.Links), Privileged: c.Privileged, ReadonlyRootfs: c.ReadOnly,
		SecurityOpt: c.SecurityOpt, ShmSize: c.ShmSize, Sysctls: c.Sysctls, Runtime: cmp.Or(c.Runtime, "crun"),
		CgroupnsMode: c.CgroupNS, Umask: c.Umask, Resources: resourcesOf(c), MaskedPaths: f.Details.Masked, ReadonlyPaths: f.Details.ReadOnly,
	}
	h.Binds, h.Mounts = asked(c.Mounts)
	for _, v := range c.VolumesFrom {
		h.VolumesFrom = append(h.VolumesFrom, cmp.Or(f.IDs[v.Pod], v.Pod)+":"+mode(v.ReadOnly, "rw"))
	}
	if h.ShmSize == 0 {
		h.ShmSize = defaultShm
	}
	if c.OOMScoreAdj != nil {
		h.OomScoreAdj = *c.OOMScoreAdj
	}
	if c.Init {
		h.Init = &c.Init
	}
	return h
}

func logConfigOf(l api.LogConfig) LogConfig {
	out := LogConfig{Type: cmp.Or(l.Driver, "json-file"), Config: map[string]string{}}
	if out.Type == "none" {
		return out
	}
	size, files := int64(10<<20), 3
	if out.Type == "local" {
		size, files = 20<<20, 5
	}
	if l.MaxSize != 0 {
		size = l.MaxSize
	}
	if l.MaxFile != 0 {
		files = l.MaxFile
	}
	if l.Tag != "" {
		out.Config["tag"] = l.Tag
	}
	out.Config["max-size"], out.Config["max-file"] = strconv.FormatInt(size, 10), strconv.Itoa(files)
	return out
}

// networkMode names the network namespace: that of the host, of another container, or of the first network.
func networkMode(p api.Pod, ids map[string]string) string {
	n := p.Spec.Network
	switch {
	case n.Mode == api.NetworkHost:
		return "host"
	case n.Mode == api.NetworkPod:
		return "container:" + cmp.Or(ids[n.Pod], n.Pod)
	case len(n.Endpoints) == 0:
		return "none"
	}
	return n.Endpoints[0].Network
}

func namespaceMode(n api.Namespace, ids map[string]string) string {
	if n.Mode == api.NamespacePod {
		return "container:" + cmp.Or(ids[n.Pod], n.Pod)
	}
	return string(n.Mode)
}

func resourcesOf(c api.ContainerSpec) Resources {
	r := c.Resources
	out := Resources{
		CPUShares: r.CPUShares, Memory: r.Memory, NanoCPUs: int64(r.CPUs * 1e9), CgroupParent: c.CgroupParent,
		CPUPeriod: r.CPUPeriod, CPUQuota: r.CPUQuota, CpusetCpus: r.Cpuset, DeviceCgroupRules: c.DeviceRules,
		MemoryReservation: r.MemoryReservation, MemorySwap: r.MemorySwap, PidsLimit: &r.Pids, Devices: []DeviceMapping{},
		Ulimits: []Ulimit{}, MemorySwappiness: r.Swappiness,
	}
	if r.OOMKillDisable {
		out.OomKillDisable = &r.OOMKillDisable
	}
	if b := r.BlockIO; b != nil {
		out.BlkioWeight = b.Weight
		for _, d := range b.WeightDevices {
			out.BlkioWeightDevice = append(out.BlkioWeightDevice, WeightDevice(d))
		}
		out.BlkioDeviceReadBps, out.BlkioDeviceWriteBps = throttles(b.ReadBps), throttles(b.WriteBps)
		out.BlkioDeviceReadIOps, out.BlkioDeviceWriteIOps = throttles(b.ReadIOps), throttles(b.WriteIOps)
	}
	if r.Pids == 0 {
		*out.PidsLimit = defaultPids
	}
	for _, d := range c.Devices {
		out.Devices = append(out.Devices, DeviceMapping{d.Host, d.Container, cmp.Or(d.Permissions, "rwm")})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Ulimits)) {
		out.Ulimits = append(out.Ulimits, Ulimit{name, c.Ulimits[name].Hard, c.Ulimits[name].Soft})
	}
	return out
}

func throttles(list []api.DeviceRate) []ThrottleDevice {
	var out []ThrottleDevice
	for _, d := range list {
		out = append(out, ThrottleDevice(d))
	}
	return out
}

// extraHosts are docker's "name:address" of podc's "name=address".
func extraHosts(list []string) []string {
	out := []string{}
	for _, s := range list {
		out = append(out, strings.Replace(s, "=", ":", 1))
	}
	return out
}

func links(m map[string]string) []string {
	var out []string
	for _, alias := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[alias]+":"+alias)
	}
	return out
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// bindings are the ports that were asked for.
func bindings(ports []api.Port) map[string][]PortBinding {
	m := map[string][]PortBinding{}
	for _, p := range ports {
		host := ""
		switch {
		case p.HostEnd > p.HostPort:
			host = fmt.Sprintf("%d-%d", p.HostPort, p.HostEnd)
		case p.HostPort > 0:
			host = strconv.Itoa(int(p.HostPort))
		}
		key := portKey(p)
		m[key] = append(m[key], PortBinding{text(p.HostIP), host})
	}
	return m
}

func portKey(p api.Port) string { return fmt.Sprintf("%d/%s", p.Container, p.Protocol) }
